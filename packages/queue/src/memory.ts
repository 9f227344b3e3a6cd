// The queue and the signals of a single process: for standalone, the simulation and tests. Nothing is kept on disk; after
// a start the sweeper announces again what the store still waits for.
import {
  AppError,
  assert,
  type Clock,
  covers,
  laneCount,
  type OwnedPartition,
  type Partition,
  type Priority,
  partitionKey,
} from "@sluice/core";
import { Backlog } from "./backlog.ts";
import { ackWaitDefaultMs, type Block, blockSizeMax, type Consumer, type TaskQueue } from "./index.ts";
import { MemoryConsumer } from "./memory-consumer.ts";

export { createMemorySignals } from "./memory-signals.ts";

export interface MemoryQueueOptions {
  readonly clock: Clock;
  /** How long a delivered block stays invisible without renewal; default 30 s. */
  readonly ackWaitMs?: number;
  /** Blocks that may be stored, all queues together; more are refused with `QUEUE_UNAVAILABLE`. Default one million. */
  readonly blocksMax?: number;
}

/** A queue in memory that behaves as JetStream with a work-queue stream does, also where JetStream is lax. */
export function createMemoryQueue(options: MemoryQueueOptions): TaskQueue {
  return new MemoryQueue(options);
}

class MemoryQueue implements TaskQueue {
  readonly #clock: Clock;
  readonly #ackWaitMs: number;
  readonly #blocksMax: number;
  /** By queue and priority. */
  readonly #backlogs = new Map<string, Backlog>();
  readonly #stored = { count: 0 };
  readonly #listeners = new Set<(block: Block) => void>();
  #isClosed = false;

  constructor({ clock, ackWaitMs = ackWaitDefaultMs, blocksMax = 1_000_000 }: MemoryQueueOptions) {
    assert(ackWaitMs > 0, "a block that is never invisible would be delivered for ever");
    this.#clock = clock;
    this.#ackWaitMs = ackWaitMs;
    this.#blocksMax = blocksMax;
  }

  async publish(blocks: readonly Block[]): Promise<void> {
    this.#refuseIfClosed();
    blocks.forEach(check);
    if (this.#stored.count + blocks.length > this.#blocksMax) throw unavailable(`${this.#blocksMax} blocks are stored`);
    const touched = new Set<Backlog>();
    const publishedAt = this.#clock.now();
    for (const block of blocks) {
      const backlog = this.#backlogOf(block.queue, block.priority);
      backlog.append(block, publishedAt);
      touched.add(backlog);
    }
    for (const block of blocks) for (const listener of this.#listeners) listener(block);
    // Only now, so that a pull that waits gets as much as it asked for.
    for (const backlog of touched) {
      for (const consumer of backlog.consumers) consumer.serve();
    }
  }

  async open({ priority, ...owned }: OwnedPartition & { readonly priority: Priority }): Promise<Consumer> {
    this.#refuseIfClosed();
    const backlog = this.#backlogOf(owned.queue, priority);
    const rivals = [...backlog.consumers].filter((consumer) => consumer.overlaps(owned.prefix));
    for (const rival of rivals) {
      const isReopened = rival.prefix === owned.prefix && rival.epoch === owned.epoch;
      if (rival.epoch >= owned.epoch && !isReopened) throw staleEpoch(owned, rival.epoch);
    }
    for (const rival of rivals) rival.end(staleEpoch(rival, owned.epoch));
    const consumer = new MemoryConsumer({ ...owned, backlog, clock: this.#clock, ackWaitMs: this.#ackWaitMs });
    backlog.consumers.add(consumer);
    return consumer;
  }

  hear({ queue, prefix }: Partition, hear: (block: Block) => void): () => void {
    const listener = (block: Block) => {
      if (block.queue === queue && covers(prefix, block.lane)) hear(block);
    };
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    for (const backlog of this.#backlogs.values()) {
      for (const consumer of backlog.consumers) consumer.end(unavailable("the queue is closed"));
    }
    this.#backlogs.clear();
  }

  #backlogOf(queue: string, priority: Priority): Backlog {
    const key = `${queue}/${priority}`;
    let backlog = this.#backlogs.get(key);
    if (backlog === undefined) {
      backlog = new Backlog(this.#stored);
      this.#backlogs.set(key, backlog);
    }
    return backlog;
  }

  #refuseIfClosed(): void {
    if (this.#isClosed) throw unavailable("the queue is closed");
  }
}

function check({ lane, seqs }: Block): void {
  assert(seqs.length >= 1 && seqs.length <= blockSizeMax, `a block holds 1 to ${blockSizeMax} numbers`);
  assert(Number.isInteger(lane) && lane >= 0 && lane < laneCount, `not a lane: ${lane}`);
}

function unavailable(message: string): AppError {
  return new AppError("unavailable", "QUEUE_UNAVAILABLE", message);
}

function staleEpoch(owned: OwnedPartition, other: number): AppError {
  return new AppError(
    "stale",
    "STALE_EPOCH",
    `epoch ${owned.epoch} of ${partitionKey(owned)} has met a consumer of epoch ${other}`,
  );
}
