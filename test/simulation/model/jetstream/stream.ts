// The stream and its consumers as nats-server keeps them: messages by position, and what each consumer has delivered and not
// seen acked. Nothing fences the holders of a message: an ack names a position, and takes away whatever lies there.

import { type EpochMs, lanesOf, type OwnedPartition, type Priority } from "@sluice/core";
import type { Block } from "@sluice/queue";

export type Share = OwnedPartition & { readonly priority: Priority };

export interface Message {
  /** Position in the stream, from 1. */
  readonly position: number;
  readonly block: Block;
  readonly publishedAt: EpochMs;
}

export interface Held {
  readonly position: number;
  count: number;
  /** Monotonic. */
  invisibleUntil: number;
  /** Whether its holder has it; else it was lost on the way. */
  hasArrived: boolean;
}

/** A consumer as the server knows it. */
export class ServerConsumer {
  readonly share: Share;
  /** Of the last message that it has delivered. */
  position = 0;
  readonly held = new Map<number, Held>();
  readonly #lanes: { readonly from: number; readonly until: number };

  constructor(share: Share) {
    this.share = share;
    this.#lanes = lanesOf(share.prefix);
  }

  filters({ queue, priority, lane }: Block): boolean {
    const { from, until } = this.#lanes;
    return queue === this.share.queue && priority === this.share.priority && lane >= from && lane < until;
  }
}

/** An ack, remembered for as long as a crash may undo it. */
interface Acked {
  readonly message: Message;
  readonly at: number;
}

const rememberedMs = 10_000;

export class Stream {
  readonly consumers = new Set<ServerConsumer>();
  /** By position; in the order of publication. */
  #messages = new Map<number, Message>();
  #acked: Acked[] = [];
  #last = 0;
  readonly #monotonic: () => number;

  constructor(monotonic: () => number) {
    this.#monotonic = monotonic;
  }

  get size(): number {
    return this.#messages.size;
  }

  /** The last position that was given away. */
  get last(): number {
    return this.#last;
  }

  append(block: Block, publishedAt: EpochMs): void {
    const position = ++this.#last;
    this.#messages.set(position, { position, block, publishedAt });
  }

  at(position: number): Message | undefined {
    return this.#messages.get(position);
  }

  remove(position: number): void {
    const message = this.#messages.get(position);
    if (!message) return;
    this.#messages.delete(position);
    const at = this.#monotonic();
    this.#acked.push({ message, at });
    if ((this.#acked[0]?.at ?? at) < at - rememberedMs) {
      this.#acked = this.#acked.filter((one) => one.at >= at - rememberedMs);
    }
  }

  /** Deletes what lies in these queues. */
  purge(isGone: (queue: string) => boolean): void {
    for (const { position, block } of [...this.#messages.values()])
      if (isGone(block.queue)) this.#messages.delete(position);
  }

  /** What a consumer has yet to deliver for the first time. */
  *pending(consumer: ServerConsumer): Generator<Message> {
    for (const message of this.#messages.values()) {
      if (message.position > consumer.position && consumer.filters(message.block)) yield message;
    }
  }

  /** What was acked in the last `ms` is there again; returns how many. */
  undoAcks(ms: number): number {
    const since = this.#monotonic() - ms;
    const undone = this.#acked.filter(({ at, message }) => at >= since && message.position <= this.#last);
    if (undone.length === 0) return 0;
    const all = [...this.#messages.values(), ...undone.map(({ message }) => message)];
    this.#messages = new Map(all.sort((a, b) => a.position - b.position).map((message) => [message.position, message]));
    this.#acked = [];
    return undone.length;
  }

  /** The last messages are gone, and their positions are given away again; returns those that were not acked. */
  loseTail(count: number): readonly Message[] {
    const kept = Math.max(0, this.#last - count);
    const lost = [...this.#messages.values()].filter(({ position }) => position > kept);
    for (const { position } of lost) this.#messages.delete(position);
    this.#last = kept;
    this.#acked = this.#acked.filter(({ message }) => message.position <= kept);
    return lost;
  }

  /** With its consumers; a new one, empty, takes its place. */
  delete(): void {
    this.consumers.clear();
    this.#messages.clear();
    this.#acked = [];
    this.#last = 0;
  }
}
