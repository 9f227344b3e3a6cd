// A consumer as the driver in the process of its owner offers it. After something happened to the server the driver takes a
// while to notice; then it creates the consumer anew, and everything that is not acked is delivered again.
//
//   sound ──server killed, stream deleted, deliveries stop──▶ in doubt ──created anew──▶ sound
//     └──a consumer of a higher epoch──▶ ended ◀──────────────────┘
import { AppError, assert, type Clock, type Epoch, type EpochMs } from "@sluice/core";
import type { Block, Consumer, Delivery } from "@sluice/queue";
import type { Held, Message, ServerConsumer, Share, Stream } from "./stream.ts";

/** What may happen to a message on its way to a consumer. */
export type Passage =
  | { readonly kind: "arrives" }
  /** The next pull gets it again. */
  | { readonly kind: "repeated" }
  /** It comes after those that follow it, so much later; as one that went to a connection that is gone. */
  | { readonly kind: "late"; readonly ms: number };

export interface ConsumerDeps {
  readonly stream: Stream;
  readonly clock: Clock;
  readonly ackWaitMs: number;
  readonly passage: () => Passage;
  /** Creates it anew on the server; rejects when a higher epoch has its lanes. */
  readonly create: (consumer: ModelConsumer) => ServerConsumer;
  readonly isReachable: () => boolean;
}

interface WaitingPull {
  readonly max: number;
  settle(deliveries: Delivery[]): void;
  fail(error: AppError): void;
}

/** The clock of a server may be so far ahead of the database's; the driver allows for it. */
const clockSkewMs = 1_000;

export class ModelConsumer implements Consumer {
  readonly share: Share;
  readonly epoch: Epoch;
  readonly #deps: ConsumerDeps;
  readonly #waiting = new Set<WaitingPull>();
  #server: ServerConsumer | undefined;
  /** Counts the lives of the server's consumer: the driver acks nothing of an earlier one. */
  #generation = 0;
  #stalls = 0;
  #cancelTimer: (() => void) | undefined;
  #endedBy: AppError | undefined;

  constructor(share: Share, deps: ConsumerDeps) {
    this.share = share;
    this.epoch = share.epoch;
    this.#deps = deps;
  }

  get server(): ServerConsumer | undefined {
    return this.#server;
  }
  get hasEnded(): boolean {
    return this.#endedBy !== undefined;
  }

  async pull(max: number, signal: AbortSignal): Promise<Delivery[]> {
    assert(Number.isInteger(max) && max >= 1, `a pull asks for at least one block, not ${max}`);
    if (this.#endedBy !== undefined) throw this.#endedBy;
    if (signal.aborted) return [];
    const deliveries = this.#take(max);
    return deliveries.length > 0 ? deliveries : this.#wait(max, signal);
  }

  async ack(deliveries: readonly Delivery[]): Promise<void> {
    for (const { position, generation } of deliveries as readonly ModelDelivery[]) {
      if (this.#server === undefined || generation !== this.#generation) continue;
      this.#server.held.delete(position);
      this.#deps.stream.remove(position);
    }
  }

  async renew(deliveries: readonly Delivery[]): Promise<void> {
    const now = this.#deps.clock.monotonic();
    for (const { position, generation } of deliveries as readonly ModelDelivery[]) {
      const held = generation === this.#generation ? this.#server?.held.get(position) : undefined;
      // Too late once it is due again: it will be delivered, and only that hides it.
      if (held && held.invisibleUntil > now) held.invisibleUntil = now + this.#deps.ackWaitMs;
    }
  }

  async caughtUpTo(): Promise<EpochMs> {
    if (this.#endedBy !== undefined) throw this.#endedBy;
    if (this.#server === undefined) throw unavailable("the consumer is examined");
    const { stream } = this.#deps;
    let oldest = Number.POSITIVE_INFINITY;
    for (const { publishedAt } of stream.pending(this.#server)) oldest = Math.min(oldest, publishedAt);
    for (const { position, hasArrived } of this.#server.held.values()) {
      if (!hasArrived) oldest = Math.min(oldest, stream.at(position)?.publishedAt ?? oldest);
    }
    return oldest - clockSkewMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.end(new AppError("cancelled", "CONSUMER_CLOSED", "the consumer is closed"));
  }

  /** What it just handed out never arrived; it is delivered again after `ack_wait`. */
  lose(deliveries: readonly Delivery[]): void {
    for (const { position, generation } of deliveries as readonly ModelDelivery[]) {
      const held = generation === this.#generation ? this.#server?.held.get(position) : undefined;
      if (held) held.hasArrived = false;
    }
  }

  /** Its pulls reject with `reason`, and the server forgets it. */
  end(reason: AppError): void {
    if (this.#endedBy !== undefined) return;
    this.#endedBy = reason;
    if (this.#server) this.#deps.stream.consumers.delete(this.#server);
    this.#server = undefined;
    for (const pull of [...this.#waiting]) pull.fail(reason);
    this.#setTimer();
  }

  /** The driver does not trust it from now on. */
  doubt(): void {
    if (this.#server) this.#deps.stream.consumers.delete(this.#server);
    this.#server = undefined;
    this.#setTimer();
  }

  /** Begins a new life, unless somebody else has its lanes. */
  recreate(): void {
    if (this.#endedBy !== undefined) return;
    this.doubt();
    this.#generation++;
    try {
      this.#server = this.#deps.create(this);
    } catch (error) {
      this.end(error as AppError);
      return;
    }
    this.serve();
  }

  /** The server sends it nothing. Returns how to end that. */
  stall(): () => void {
    this.#stalls++;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#stalls--;
      this.serve();
    };
  }

  /** Gives the waiting pulls, the longest waiting first, what is there by now. */
  serve(): void {
    for (const pull of [...this.#waiting]) {
      const deliveries = this.#take(pull.max);
      if (deliveries.length === 0) break;
      pull.settle(deliveries);
    }
    this.#setTimer();
  }

  #take(max: number): Delivery[] {
    const server = this.#server;
    if (!server || this.#stalls > 0 || !this.#deps.isReachable()) return [];
    const { stream, clock } = this.#deps;
    const now = clock.monotonic();
    const deliveries: Delivery[] = [];
    const due = [...server.held.values()].filter(({ invisibleUntil }) => invisibleUntil <= now);
    for (const held of due.sort((a, b) => a.position - b.position)) {
      if (deliveries.length === max) return deliveries;
      const message = stream.at(held.position);
      if (message) this.#send(message, held, deliveries);
      else server.held.delete(held.position);
    }
    for (const message of stream.pending(server)) {
      if (deliveries.length === max) break;
      server.position = message.position;
      const held: Held = { position: message.position, count: 0, invisibleUntil: 0, hasArrived: false };
      server.held.set(message.position, held);
      this.#send(message, held, deliveries);
    }
    return deliveries;
  }

  #send({ position, block }: Message, held: Held, deliveries: Delivery[]): void {
    const { clock, ackWaitMs, passage } = this.#deps;
    const now = clock.monotonic();
    const fate = passage();
    held.count++;
    held.invisibleUntil = now + ackWaitMs;
    if (fate.kind === "late") {
      held.invisibleUntil = now + Math.min(fate.ms, ackWaitMs);
      held.hasArrived = false;
      return;
    }
    held.hasArrived = true;
    if (fate.kind === "repeated") held.invisibleUntil = now + 1;
    deliveries.push(new ModelDelivery(block, held.count, position, this.#generation));
  }

  #wait(max: number, signal: AbortSignal): Promise<Delivery[]> {
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

  /** Runs while a pull waits and something is held: the pull must get that when its time has passed. */
  #setTimer(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const server = this.#server;
    if (this.#waiting.size === 0 || !server || server.held.size === 0) return;
    let first = Number.POSITIVE_INFINITY;
    for (const { invisibleUntil } of server.held.values()) first = Math.min(first, invisibleUntil);
    // Also when it cannot be served now: who ends a stall or an outage serves anew.
    if (first <= this.#deps.clock.monotonic()) return;
    this.#cancelTimer = this.#deps.clock.timer(first - this.#deps.clock.monotonic(), () => {
      this.#cancelTimer = undefined;
      this.serve();
    });
  }
}

class ModelDelivery implements Delivery {
  readonly block: Block;
  readonly deliveryCount: number;
  readonly position: number;
  readonly generation: number;

  constructor(block: Block, deliveryCount: number, position: number, generation: number) {
    this.block = block;
    this.deliveryCount = deliveryCount;
    this.position = position;
    this.generation = generation;
  }
}

function unavailable(message: string): AppError {
  return new AppError("unavailable", "QUEUE_UNAVAILABLE", message);
}
