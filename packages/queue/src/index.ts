// The contract of the queue: it wakes schedulers and holds no truth. Losing, repeating or reordering a block may cost
// time, never a task. `conformance.ts` is its meaning as tests.
import type { Epoch, EpochMs, Flow, HealthSignal, Lane, OwnedPartition, Partition, Priority, Seq } from "@sluice/core";

export * from "./arrivals.ts";
export * from "./topics.ts";

/** A block that is not renewed for so long is delivered again, by default; in ms. */
export const ackWaitDefaultMs = 30_000;
/** At most this many numbers travel in one block. */
export const blockSizeMax = 256;

/** One message: the numbers of tasks of one flow, lane and priority, from one group commit. */
export interface Block extends Flow {
  readonly queue: string;
  readonly lane: Lane;
  readonly priority: Priority;
  /** 1 to 256. */
  readonly seqs: readonly Seq[];
  /** Of the oldest of them. */
  readonly enqueuedAt: EpochMs;
}

/** A block in the hands of a consumer: invisible to everybody else until `ack_wait` after the last renewal. */
export interface Delivery {
  readonly block: Block;
  /** From 1. */
  readonly deliveryCount: number;
}

export interface TaskQueue extends AsyncDisposable {
  /** Absent: it is never away. When it comes back, owners look at once for rows that lost their message. */
  readonly health?: HealthSignal;
  /**
   * How full it is: the larger share of what it may hold in number and in bytes, 0 to 1. Some seconds old, and higher rather
   * than lower. Undefined: nobody knows, or it has no bounds. Absent: it has none.
   */
  fullness?(): number | undefined;
  /** Resolves when every block is stored; rejects with `QUEUE_UNAVAILABLE` when one may not be. Publish it again then. */
  publish(blocks: readonly Block[]): Promise<void>;
  /**
   * Opens the only consumer of a partition and priority. Consumers of lower epochs that overlap are deleted, and what they
   * had not acked is delivered again. Rejects with `STALE_EPOCH` if an overlapping consumer of a higher epoch exists.
   */
  open(options: OwnedPartition & { readonly priority: Priority }): Promise<Consumer>;
  /**
   * Deletes the consumers and the blocks of queues of which this is true: nobody owns them any more, so no successor would
   * clean up after a crash. Who owns one after all creates its consumer anew, or is told `STALE_EPOCH` and takes over again;
   * its rows are announced anew, as after any loss. Absent: everything goes with its process.
   */
  retire?(isGone: (queue: string) => boolean): Promise<void>;
  /**
   * Calls `listener` for every block of the partition that is published from now on, when it is, and long before its delivery if
   * much waits. Lossy: it says nothing about what is delivered, and nothing is taken by it. Returns how to stop. Absent: the
   * driver cannot.
   */
  hear?(partition: Partition, listener: (block: Block) => void): () => void;
}

export interface Consumer extends AsyncDisposable {
  readonly epoch: Epoch;
  /**
   * Up to `max` blocks, at least one unless the signal aborts first (then none). Rejects with `STALE_EPOCH` when a
   * consumer of a higher epoch has replaced this one.
   */
  pull(max: number, signal: AbortSignal): Promise<Delivery[]>;
  /** Removes blocks from the queue. Late or repeated acks are harmless. */
  ack(deliveries: readonly Delivery[]): Promise<void>;
  /** Keeps blocks invisible for another `ack_wait`. */
  renew(deliveries: readonly Delivery[]): Promise<void>;
  /** Every block published before this time has been delivered to this consumer. `Infinity`: nothing is pending. */
  caughtUpTo(): Promise<EpochMs>;
}

/**
 * Lossy hints: "look at this row". A hint may be lost, repeated or late; whoever listens also looks from time to time.
 * Topics are texts of tokens separated by dots; see `topics.ts`.
 */
export interface Signals extends AsyncDisposable {
  send(topic: string, payload: string): void;
  /** Calls `listener` for every hint on exactly this topic. Returns how to stop. */
  listen(topic: string, listener: (payload: string) => void): () => void;
}
