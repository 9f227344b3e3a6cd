// Names on the server. Blocks of a lane have one subject, `t.<queue>.<priority>.<b0>.<b1>.<b2>.<b3>.<b4>`, with a token per
// bit of the lane, so that one filter selects any partition.
import {
  assert,
  type Epoch,
  type Lane,
  laneBits,
  laneBitsOf,
  laneCount,
  type OwnedPartition,
  overlaps,
  type Partition,
  type Prefix,
  type Priority,
} from "@sluice/core";

export const streamName = "SLUICE_T";
export const streamSubject = "t.>";

/** A partition of one priority: what one consumer delivers. */
export interface Share extends Partition {
  readonly priority: Priority;
}

export type OwnedShare = Share & OwnedPartition;

export interface BlockAddress {
  readonly queue: string;
  readonly priority: Priority;
  readonly lane: Lane;
}

const queuePattern = /^[A-Za-z0-9_-]{1,64}$/;
const subjectPattern = /^t\.([A-Za-z0-9_-]{1,64})\.([0-3])\.([01])\.([01])\.([01])\.([01])\.([01])$/;
const namePattern = /^([A-Za-z0-9_-]{1,64})-(all|[01]{1,5})-([0-3])-(\d{1,16})$/;

export function subjectOf({ queue, priority, lane }: BlockAddress): string {
  return `t.${queue}.${priority}.${bitTokens[lane]}`;
}

/** Undefined: not a subject that `subjectOf` made. */
export function parseSubject(subject: string): BlockAddress | undefined {
  const match = subjectPattern.exec(subject);
  if (match === null) return undefined;
  const [, queue = "", priority, ...bits] = match;
  return { queue, priority: Number(priority) as Priority, lane: Number.parseInt(bits.join(""), 2) };
}

/** Selects the subjects of every lane of the share. */
export function filterOf({ queue, prefix, priority }: Share): string {
  const rest = prefix.length === laneBits ? "" : ".>";
  return ["t", queue, priority, ...prefix].join(".") + rest;
}

/** The name says all that `open` must know of a rival, so that a list of names is enough. */
export function consumerName({ queue, prefix, priority, epoch }: OwnedShare): string {
  return `${queue}-${prefix === "" ? "all" : prefix}-${priority}-${epoch}`;
}

/** Undefined: not a consumer of ours. */
export function parseConsumerName(name: string): OwnedShare | undefined {
  const match = namePattern.exec(name);
  if (match === null) return undefined;
  const [, queue = "", prefix = "", priority, epoch] = match;
  return {
    queue,
    prefix: (prefix === "all" ? "" : prefix) satisfies Prefix,
    priority: Number(priority) as Priority,
    epoch: Number(epoch) satisfies Epoch,
  };
}

/** Whether two consumers would deliver the same block. */
export function sharesBlocks(a: Share, b: Share): boolean {
  return a.priority === b.priority && overlaps(a, b);
}

/** A name that may be a token of a subject and a part of the name of a consumer. */
export function checkQueueName(queue: string): void {
  assert(queuePattern.test(queue), `not the name of a queue: ${queue}`);
}

const bitTokens = Array.from({ length: laneCount }, (_, lane) => [...laneBitsOf(lane)].join("."));
