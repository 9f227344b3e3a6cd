import type { EpochMs } from "@sluice/core";
import type { Block, Delivery } from "../index.ts";
import { decodeBlock } from "./block-codec.ts";
import { parseSubject } from "./subjects.ts";

/** A block as JetStream delivered it. */
export class NatsDelivery implements Delivery {
  readonly block: Block;
  readonly deliveryCount: number;
  /** Where acks and renewals go. */
  readonly ackSubject: string;
  readonly publishedAt: EpochMs;
  /** Of the consumer that delivered it; acks of earlier ones would hit other blocks. */
  readonly generation: number;
  /** On the monotonic clock: until then nobody else gets it. */
  invisibleUntil: number;

  constructor(block: Block, ticket: Ticket, generation: number, invisibleUntil: number) {
    this.block = block;
    this.deliveryCount = ticket.deliveryCount;
    this.ackSubject = ticket.ackSubject;
    this.publishedAt = ticket.publishedAt;
    this.generation = generation;
    this.invisibleUntil = invisibleUntil;
  }
}

/** What the reply subject of a delivered message says. */
export interface Ticket {
  readonly ackSubject: string;
  readonly deliveryCount: number;
  /** Position in the stream. */
  readonly streamSeq: number;
  /** Counts the deliveries of the consumer. */
  readonly consumerSeq: number;
  readonly publishedAt: EpochMs;
}

/**
 * `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<ns>.<pending>`; newer servers put domain and account
 * before the stream, and a token after the rest.
 */
export function parseTicket(ackSubject: string): Ticket | undefined {
  const tokens = ackSubject.split(".");
  if (tokens[0] !== "$JS" || tokens[1] !== "ACK") return undefined;
  const first = tokens.length >= 11 ? 6 : 4;
  const [deliveryCount = Number.NaN, streamSeq = Number.NaN, consumerSeq = Number.NaN, nanoseconds = Number.NaN] =
    tokens.slice(first, first + 4).map(Number);
  if (![deliveryCount, streamSeq, consumerSeq, nanoseconds].every((value) => value >= 0)) return undefined;
  return { ackSubject, deliveryCount, streamSeq, consumerSeq, publishedAt: Math.floor(nanoseconds / 1e6) };
}

/** Undefined: not a block. */
export function parseBlock(subject: string, data: Uint8Array): Block | undefined {
  const address = parseSubject(subject);
  if (address === undefined) return undefined;
  const payload = decodeBlock(data);
  return payload && { ...address, ...payload };
}
