// JetStream behind its driver, as a scheduler sees it, with what it may do: acks that come back, a tail that is lost, a stream
// that is deleted, consumers that stall. The facts were measured on nats-server 2.9.10 (`packages/queue/README.md`, "On NATS").
import { AppError, assert, type Clock, laneCount, partitionKey } from "@sluice/core";
import { type Block, blockSizeMax, type TaskQueue } from "@sluice/queue";
import { SystemState } from "../system.ts";
import { type ConsumerDeps, ModelConsumer, type Passage } from "./consumer.ts";
import { type Message, ServerConsumer, type Share, Stream } from "./stream.ts";

export interface JetStreamOptions {
  readonly clock: Clock;
  /** How long a delivered block stays invisible without renewal; default 10 s, as no seed waits for more. */
  readonly ackWaitMs?: number;
  /** The server's clock is so far ahead of the database's. */
  readonly skewMs?: number;
  /** Default: every message arrives. */
  readonly passage?: () => Passage;
}

export class JetStreamModel implements TaskQueue {
  readonly system = new SystemState();
  readonly #clock: Clock;
  readonly #skewMs: number;
  readonly #stream: Stream;
  readonly #deps: ConsumerDeps;
  #consumers: readonly ModelConsumer[] = [];

  constructor({ clock, ackWaitMs = 10_000, skewMs = 0, passage = () => ({ kind: "arrives" }) }: JetStreamOptions) {
    this.#clock = clock;
    this.#skewMs = skewMs;
    this.#stream = new Stream(() => clock.monotonic());
    this.#deps = {
      stream: this.#stream,
      clock,
      ackWaitMs,
      passage,
      create: (consumer) => this.#create(consumer.share, consumer),
      isReachable: () => this.system.isUp,
    };
  }

  async publish(blocks: readonly Block[]): Promise<void> {
    blocks.forEach(check);
    for (const block of blocks) this.#stream.append(block, this.#clock.now() + this.#skewMs);
    // Only now, so that a pull that waits gets as much as it asked for.
    for (const consumer of this.#open()) consumer.serve();
  }

  async open(share: Share): Promise<ModelConsumer> {
    const consumer = new ModelConsumer(share, this.#deps);
    // Refused before anything is changed.
    this.#refuseBelow(share);
    this.#consumers = [...this.#open(), consumer];
    consumer.recreate();
    return consumer;
  }

  async retire(isGone: (queue: string) => boolean): Promise<void> {
    for (const consumer of this.#open()) {
      if (isGone(consumer.share.queue)) consumer.end(staleEpoch(consumer.share, consumer.epoch));
    }
    this.#stream.purge(isGone);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const consumer of this.#consumers) consumer.end(unavailable("the queue is closed"));
    this.#consumers = [];
  }

  get consumers(): readonly ModelConsumer[] {
    return this.#open();
  }

  /** How many messages it has; acked ones that came back included. */
  get size(): number {
    return this.#stream.size;
  }

  /** What was acked in the last `ms` is there again, as after `kill -9`; returns how many blocks. */
  undoAcks(ms: number): number {
    return this.#stream.undoAcks(ms);
  }

  /** The last messages are gone, as after a power loss, while consumers know that they delivered them. */
  loseTail(count: number): readonly Message[] {
    return this.#stream.loseTail(count);
  }

  /** It will deliver nothing until as much as was lost has been published. */
  isAhead({ server }: ModelConsumer): boolean {
    return server !== undefined && server.position > this.#stream.last;
  }

  /** With its consumers; whoever misses it creates it anew. */
  deleteStream(): void {
    this.#stream.delete();
    for (const consumer of this.#open()) consumer.doubt();
  }

  /** Every driver creates its consumers anew, `inMs()` after now, as it does when it notices that it should. */
  recreateConsumers(inMs: (consumer: ModelConsumer) => number): void {
    for (const consumer of this.#open()) {
      this.#clock.timer(Math.max(1, inMs(consumer)), () => this.system.whenUp(() => consumer.recreate()));
    }
  }

  /** Every driver has lost its connection, and examines its consumers before it trusts them again. */
  doubtAll(): void {
    for (const consumer of this.#open()) consumer.doubt();
  }

  /** Those that were not served while it was away. */
  serveAll(): void {
    for (const consumer of this.#open()) consumer.serve();
  }

  #open(): readonly ModelConsumer[] {
    return this.#consumers.filter(({ hasEnded }) => !hasEnded);
  }

  #refuseBelow(share: Share): void {
    for (const { share: other } of this.#stream.consumers) {
      const isReopened = other.prefix === share.prefix && other.epoch === share.epoch;
      if (overlap(other, share) && other.epoch >= share.epoch && !isReopened) throw staleEpoch(share, other.epoch);
    }
  }

  #create(share: Share, by: ModelConsumer): ServerConsumer {
    this.#refuseBelow(share);
    for (const rival of this.#open()) {
      if (rival === by || !overlap(rival.share, share)) continue;
      // One that is in doubt learns it when it is created anew; but the driver knows its own.
      const isOwn = rival.epoch === share.epoch && rival.share.prefix === share.prefix;
      if (rival.server !== undefined || isOwn) rival.end(staleEpoch(rival.share, share.epoch));
    }
    const server = new ServerConsumer(share);
    this.#stream.consumers.add(server);
    return server;
  }
}

function overlap(one: Share, other: Share): boolean {
  const isSamePlace = one.queue === other.queue && one.priority === other.priority;
  return isSamePlace && (one.prefix.startsWith(other.prefix) || other.prefix.startsWith(one.prefix));
}

function check({ lane, seqs }: Block): void {
  assert(seqs.length >= 1 && seqs.length <= blockSizeMax, `a block holds 1 to ${blockSizeMax} numbers`);
  assert(Number.isInteger(lane) && lane >= 0 && lane < laneCount, `not a lane: ${lane}`);
}

function unavailable(message: string): AppError {
  return new AppError("unavailable", "QUEUE_UNAVAILABLE", message);
}

function staleEpoch(share: Share, other: number): AppError {
  return new AppError("stale", "STALE_EPOCH", `epoch ${share.epoch} of ${partitionKey(share)} has met ${other}`);
}
