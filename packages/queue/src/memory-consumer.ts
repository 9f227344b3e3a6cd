// One consumer. A block that it pulled is *held*: invisible until its time, then due again, before everything new.
//
//   lane ──pull──▶ held ──ack──▶ gone
//     ▲              │ ▲
//     │              │ └── renew: invisible for longer; pull: delivered again once its time has passed
//     └──── end ─────┘
//
// As in JetStream nothing fences the holders of one consumer from each other: an old delivery of a block acks and renews it
// in the hands of whoever holds it now. A consumer that was replaced reaches nothing any more.
import { AppError, assert, type Clock, type Epoch, type EpochMs, type OwnedPartition, type Prefix } from "@sluice/core";
import type { Backlog, StoredBlock } from "./backlog.ts";
import { Chain } from "./chain.ts";
import type { Block, Consumer, Delivery } from "./index.ts";

interface Options extends OwnedPartition {
  readonly backlog: Backlog;
  readonly clock: Clock;
  readonly ackWaitMs: number;
}

/** A pull for which nothing was there. */
interface WaitingPull {
  readonly max: number;
  settle(deliveries: Delivery[]): void;
  fail(error: AppError): void;
}

/** Pulls of one consumer that may wait at once, as in JetStream. */
const waitingPullsMax = 512;

export class MemoryConsumer implements Consumer {
  readonly queue: string;
  readonly prefix: Prefix;
  readonly epoch: Epoch;
  readonly #backlog: Backlog;
  readonly #clock: Clock;
  readonly #ackWaitMs: number;
  /** By the time until which they are invisible: that time is always set to `ackWaitMs` from now. */
  readonly #held = new Chain<StoredBlock>();
  readonly #waiting = new Set<WaitingPull>();
  #cancelTimer: (() => void) | undefined;
  #endedBy: AppError | undefined;

  constructor({ queue, prefix, epoch, backlog, clock, ackWaitMs }: Options) {
    this.queue = queue;
    this.prefix = prefix;
    this.epoch = epoch;
    this.#backlog = backlog;
    this.#clock = clock;
    this.#ackWaitMs = ackWaitMs;
  }

  async pull(max: number, signal: AbortSignal): Promise<Delivery[]> {
    assert(Number.isInteger(max) && max >= 1, `a pull asks for at least one block, not ${max}`);
    if (this.#endedBy !== undefined) throw this.#endedBy;
    if (signal.aborted) return [];
    const deliveries = this.#take(max);
    return deliveries.length > 0 ? deliveries : this.#wait(max, signal);
  }

  async ack(deliveries: readonly Delivery[]): Promise<void> {
    for (const delivery of deliveries) {
      const stored = storedOf(delivery);
      if (stored.chain === this.#held) this.#backlog.forget(stored);
    }
  }

  async renew(deliveries: readonly Delivery[]): Promise<void> {
    const now = this.#clock.monotonic();
    for (const delivery of deliveries) {
      const stored = storedOf(delivery);
      // Too late once it is due again: it will be delivered, and only that hides it.
      if (stored.chain === this.#held && stored.invisibleUntil > now) this.#hold(stored, now);
    }
  }

  async caughtUpTo(): Promise<EpochMs> {
    if (this.#endedBy !== undefined) throw this.#endedBy;
    return this.#backlog.oldest(this.prefix)?.publishedAt ?? Number.POSITIVE_INFINITY;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.end(new AppError("cancelled", "CONSUMER_CLOSED", "the consumer is closed"));
  }

  overlaps(prefix: Prefix): boolean {
    return prefix.startsWith(this.prefix) || this.prefix.startsWith(prefix);
  }

  /** Deletes the consumer: what it had not acked can be delivered to another one at once, and its pulls reject. */
  end(reason: AppError): void {
    if (this.#endedBy !== undefined) return;
    this.#endedBy = reason;
    this.#backlog.consumers.delete(this);
    this.#backlog.giveBack(this.#held);
    for (const pull of this.#waiting) pull.fail(reason);
    this.#setTimer();
  }

  /** Gives the waiting pulls, the longest waiting first, what is there by now. */
  serve(): void {
    for (const pull of this.#waiting) {
      const deliveries = this.#take(pull.max);
      if (deliveries.length === 0) break;
      pull.settle(deliveries);
    }
    this.#setTimer();
  }

  #take(max: number): Delivery[] {
    const now = this.#clock.monotonic();
    const deliveries: Delivery[] = [];
    while (deliveries.length < max) {
      const held = this.#held.first;
      const stored = held !== undefined && held.invisibleUntil <= now ? held : this.#backlog.take(this.prefix);
      if (stored === undefined) break;
      stored.deliveryCount += 1;
      this.#hold(stored, now);
      deliveries.push(new MemoryDelivery(stored));
    }
    return deliveries;
  }

  #hold(stored: StoredBlock, now: number): void {
    stored.chain?.remove(stored);
    stored.invisibleUntil = now + this.#ackWaitMs;
    this.#held.append(stored);
  }

  #wait(max: number, signal: AbortSignal): Promise<Delivery[]> {
    assert(this.#waiting.size < waitingPullsMax, `more than ${waitingPullsMax} pulls wait at one consumer`);
    return new Promise((resolve, reject) => {
      const leave = () => {
        signal.removeEventListener("abort", onAbort);
        this.#waiting.delete(pull);
      };
      const pull: WaitingPull = {
        max,
        settle(deliveries) {
          leave();
          resolve(deliveries);
        },
        fail(error) {
          leave();
          reject(error);
        },
      };
      const onAbort = () => {
        pull.settle([]);
        this.#setTimer();
      };
      signal.addEventListener("abort", onAbort, { once: true });
      this.#waiting.add(pull);
      this.#setTimer();
    });
  }

  /** A timer runs while a pull waits and something is held: the pull must get it when its time has passed. */
  #setTimer(): void {
    const first = this.#held.first;
    if (this.#waiting.size === 0 || first === undefined) {
      this.#cancelTimer?.();
      this.#cancelTimer = undefined;
      return;
    }
    // One that fires too early, because its block was renewed or acked, only sets the next.
    this.#cancelTimer ??= this.#clock.timer(first.invisibleUntil - this.#clock.monotonic(), () => {
      this.#cancelTimer = undefined;
      this.serve();
    });
  }
}

class MemoryDelivery implements Delivery {
  readonly block: Block;
  readonly deliveryCount: number;
  readonly stored: StoredBlock;

  constructor(stored: StoredBlock) {
    this.block = stored.block;
    this.deliveryCount = stored.deliveryCount;
    this.stored = stored;
  }
}

function storedOf(delivery: Delivery): StoredBlock {
  assert(delivery instanceof MemoryDelivery, "a delivery goes back, as it is, to the queue that it came from");
  return delivery.stored;
}
