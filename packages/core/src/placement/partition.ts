import { assert } from "../assert.ts";
import type { Epoch } from "../ids.ts";

/** One of 32 slots of a queue: five bits. */
export type Lane = number;
export const laneBits = 5;
export const laneCount = 2 ** laneBits;

/** A bit prefix of a queue's lanes, as a text of 0 to 5 `0`s and `1`s: the unit of leasing. Empty: the whole queue. */
export type Prefix = string;

export interface Partition {
  readonly queue: string;
  readonly prefix: Prefix;
}

/** A partition together with the epoch under which this process owns it. */
export interface OwnedPartition extends Partition {
  readonly epoch: Epoch;
}

/** The lanes of a prefix: `from` inclusive, `until` exclusive. */
export function lanesOf(prefix: Prefix): { readonly from: Lane; readonly until: Lane } {
  assert(/^[01]{0,5}$/.test(prefix), `not a prefix of lanes: ${prefix}`);
  const width = 2 ** (laneBits - prefix.length);
  const from = prefix === "" ? 0 : Number.parseInt(prefix, 2) * width;
  return { from, until: from + width };
}

export function covers(prefix: Prefix, lane: Lane): boolean {
  const { from, until } = lanesOf(prefix);
  return lane >= from && lane < until;
}

/** How many lanes a prefix has: 32 for the empty one, 1 for five bits. */
export function laneCountOf(prefix: Prefix): number {
  const { from, until } = lanesOf(prefix);
  return until - from;
}

/** The two prefixes into which one is split. Undefined: it is a single lane. */
export function halvesOf(prefix: Prefix): readonly [lower: Prefix, upper: Prefix] | undefined {
  return prefix.length < laneBits ? [`${prefix}0`, `${prefix}1`] : undefined;
}

/** The prefix of which this one is a half. Undefined: it is the whole queue. */
export function parentOf(prefix: Prefix): Prefix | undefined {
  return prefix === "" ? undefined : prefix.slice(0, -1);
}

/** Whether two partitions share a lane: the same queue, and one prefix begins with the other. */
export function overlaps(a: Partition, b: Partition): boolean {
  return a.queue === b.queue && (a.prefix.startsWith(b.prefix) || b.prefix.startsWith(a.prefix));
}

/** A partition as a key of maps and of etcd: `queue/prefix`, with `-` for the empty prefix. */
export function partitionKey(partition: Partition): string {
  return `${partition.queue}/${partition.prefix === "" ? "-" : partition.prefix}`;
}

/** What `partitionKey` made. */
export function parsePartitionKey(key: string): Partition {
  const slash = key.lastIndexOf("/");
  const prefix = key.slice(slash + 1);
  return { queue: key.slice(0, slash), prefix: prefix === "-" ? "" : prefix };
}

/** The five bits of a lane, highest first. */
export function laneBitsOf(lane: Lane): string {
  return lane.toString(2).padStart(laneBits, "0");
}
