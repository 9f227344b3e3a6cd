// What one consumer was sent and has not handed out yet, and the request that is open for more.
//
//   idle ──request──▶ open ──as much as was asked for, or it expired──▶ idle
//                      │ message: kept for the next pull, also when that is later
//                      └ silence, refusal, connection lost ──▶ in doubt: the consumer is examined
//
// At most one request is open, for no more than a pull wanted, so that nothing is delivered that nobody has room for.
import type { Clock, EpochMs } from "@sluice/core";
import type { Logger } from "@sluice/runtime";
import type { Msg, Subscription } from "nats";
import type { Session } from "./connection.ts";
import { NatsDelivery, parseBlock, parseTicket, type Ticket } from "./delivery.ts";
import type { NatsMetrics } from "./metrics.ts";
import { streamName } from "./subjects.ts";

/** Why a consumer must be examined before it is asked again. */
export type Doubt = "connection" | "deleted" | "leader" | "silence" | "idle" | "lost" | "stalled" | "ghosts";

export interface InboxOptions {
  /** Of the consumer. */
  readonly name: string;
  readonly ackWaitMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: NatsMetrics;
  /** Something came, or is in doubt. */
  readonly onChange: () => void;
}

const expiresMs = 10_000;
const heartbeatMs = 2_000;
/** Two heartbeats missed, and a busy machine. */
const silenceMaxMs = 5_000;
/** After so long without a request the consumer may be gone; a request to one that is gone is never answered. */
const idleMaxMs = 1_000;
/** Whoever fills the stream with something else must not fill the log as well. */
const complaintEveryMs = 60_000;
/** A delivery is handed out for so long: it has taken time to come here, and will be delivered again. */
export const ownShareOfAckWait = 0.9;

export class Inbox {
  readonly #options: InboxOptions;
  #session: Session | undefined;
  #serverId: string | undefined;
  #subscription: Subscription | undefined;
  #subject = "";
  #requests = 0;
  /** Messages that the open request may still bring; 0: none is open. */
  #expected = 0;
  #askedAt = 0;
  #heardAt = 0;
  #deliveries: NatsDelivery[] = [];
  /** Counts the lives of the consumer. */
  #generation = 0;
  /** The newest delivery that arrived, as the consumer counts them. */
  #consumerSeq = 0;
  #publishedUntil: EpochMs = 0;
  #doubt: Doubt | undefined = "connection";
  #complainsFrom = 0;

  constructor(options: InboxOptions) {
    this.#options = options;
  }

  /** The one to which it listens. */
  get session(): Session | undefined {
    return this.#session;
  }

  /** Of the life of the server in which the consumer was last found sound; undefined: never. */
  get serverId(): string | undefined {
    return this.#serverId;
  }

  get generation(): number {
    return this.#generation;
  }

  get consumerSeq(): number {
    return this.#consumerSeq;
  }

  /** Everything published before this time was delivered: the consumer is first in, first out. */
  get publishedUntil(): EpochMs {
    return this.#publishedUntil;
  }

  get doubt(): Doubt | undefined {
    return this.#doubt;
  }

  /** How long the open request has waited without a message; undefined: none is open. */
  get waitingMs(): number | undefined {
    return this.#expected === 0 ? undefined : this.#options.clock.monotonic() - this.#askedAt;
  }

  /** How long until silence is a reason for doubt. */
  get patienceMs(): number {
    return Math.max(0, this.#heardAt + silenceMaxMs - this.#options.clock.monotonic());
  }

  /** Not handed out yet. */
  get waiting(): readonly NatsDelivery[] {
    return this.#deliveries;
  }

  /** The consumer is sound: listens on this session, and trusts it again. */
  attach(session: Session): void {
    this.#serverId = session.serverId;
    // It is lost already; the next one follows.
    if (session.connection.isClosed()) return;
    if (this.#session !== session) {
      this.detach();
      this.#session = session;
      this.#subject = `${session.inbox}.${this.#options.name}.${this.#generation}`;
      this.#subscription = session.connection.subscribe(`${this.#subject}.*`, {
        callback: (error, message) => {
          if (error === null) this.#hear(message);
        },
      });
    }
    this.#expected = 0;
    this.#doubt = undefined;
    this.#heardAt = this.#options.clock.monotonic();
  }

  detach(): void {
    if (this.#session !== undefined && !this.#session.connection.isClosed()) this.#subscription?.unsubscribe();
    this.#session = undefined;
    this.#subscription = undefined;
    this.#expected = 0;
  }

  /** The consumer was created anew: it delivers everything again, and its positions begin anew. Call `attach` next. */
  renewGeneration(): void {
    // What the old one sent last may still be on its way, to a subject that nobody listens to any more.
    this.detach();
    this.#generation += 1;
    this.#deliveries = [];
    this.#consumerSeq = 0;
    this.#publishedUntil = 0;
  }

  raise(doubt: Doubt): void {
    this.#doubt ??= doubt;
    this.#expected = 0;
    this.#options.onChange();
  }

  /** Asks for `max` blocks, unless a request is open: that one will bring some. */
  request(max: number): void {
    if (this.#expected > 0 || this.#session === undefined || this.#session.connection.isClosed()) return;
    const now = this.#options.clock.monotonic();
    this.#expected = max;
    this.#askedAt = now;
    this.#heardAt = now;
    this.#requests += 1;
    const body = { batch: max, expires: expiresMs * 1e6, idle_heartbeat: heartbeatMs * 1e6 };
    const subject = `$JS.API.CONSUMER.MSG.NEXT.${streamName}.${this.#options.name}`;
    this.#session.connection.publish(subject, JSON.stringify(body), { reply: this.#replySubject });
  }

  /** Raises doubt when the server owes an answer for too long, or was not asked for long. */
  checkSilence(): void {
    if (this.#doubt !== undefined) return;
    const silentMs = this.#options.clock.monotonic() - this.#heardAt;
    if (this.#expected > 0 && silentMs >= silenceMaxMs) this.raise("silence");
    else if (this.#expected === 0 && this.#deliveries.length === 0 && silentMs >= idleMaxMs) this.raise("idle");
  }

  /** What came, the oldest first; nothing that is delivered again by now. */
  take(max: number): NatsDelivery[] {
    const now = this.#options.clock.monotonic();
    const taken: NatsDelivery[] = [];
    let looked = 0;
    for (const delivery of this.#deliveries) {
      if (taken.length === max) break;
      looked += 1;
      if (delivery.invisibleUntil > now) taken.push(delivery);
    }
    if (looked > 0) this.#deliveries = this.#deliveries.slice(looked);
    return taken;
  }

  get #replySubject(): string {
    return `${this.#subject}.${this.#requests}`;
  }

  /** Must not throw: it runs inside the library's reader. */
  #hear(message: Msg): void {
    this.#heardAt = this.#options.clock.monotonic();
    const ticket = message.reply ? parseTicket(message.reply) : undefined;
    if (ticket === undefined) this.#hearStatus(message);
    else this.#receive(message, ticket);
  }

  #receive(message: Msg, ticket: Ticket): void {
    const { metrics, log, ackWaitMs } = this.#options;
    if (this.#expected > 0) this.#expected -= 1;
    this.#askedAt = this.#heardAt;
    // In between something was sent to a connection that is gone; it would come again only after `ack_wait`.
    if (ticket.consumerSeq > this.#consumerSeq + 1) this.raise("lost");
    this.#consumerSeq = Math.max(this.#consumerSeq, ticket.consumerSeq);
    if (ticket.deliveryCount === 1) this.#publishedUntil = Math.max(this.#publishedUntil, ticket.publishedAt);
    else metrics.redelivered.inc();
    const block = parseBlock(message.subject, message.data);
    if (block === undefined) {
      metrics.undecodable.inc();
      if (this.#heardAt >= this.#complainsFrom) {
        log.error("removes messages that are no blocks", { subject: message.subject, bytes: message.data.length });
        this.#complainsFrom = this.#heardAt + complaintEveryMs;
      }
      message.respond("+TERM");
    } else {
      const invisibleUntil = this.#heardAt + ackWaitMs * ownShareOfAckWait;
      this.#deliveries.push(new NatsDelivery(block, ticket, this.#generation, invisibleUntil));
    }
    this.#options.onChange();
  }

  #hearStatus({ subject, headers }: Msg): void {
    const code = headers?.code ?? 0;
    if (code === 100) return;
    if (code === 409 && /deleted/i.test(headers?.description ?? "")) this.raise("deleted");
    // An older request, which was given up.
    else if (subject !== this.#replySubject || this.#expected === 0) return;
    else if (code === 404 || code === 408) {
      this.#expected = 0;
      this.#options.onChange();
    } else this.raise(code === 503 ? "deleted" : "leader");
  }
}
