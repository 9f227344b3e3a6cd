// How far a consumer has come, and whether what the server says of it adds up.
import type { Clock, EpochMs } from "@sluice/core";
import type { ConsumerInfo, JetStreamApi } from "./api.ts";
import type { Inbox } from "./inbox.ts";
import type { NatsMetrics } from "./metrics.ts";
import { consumerName, filterOf, type OwnedShare } from "./subjects.ts";

export interface ProgressDeps {
  readonly share: OwnedShare;
  readonly inbox: Pick<Inbox, "consumerSeq" | "publishedUntil" | "waitingMs" | "raise"> & {
    readonly waiting: readonly { readonly publishedAt: EpochMs }[];
  };
  readonly clock: Clock;
  readonly metrics: NatsMetrics;
}

type Api = Pick<JetStreamApi, "consumer" | "count" | "storedAt">;

/** The clock of a server may be so far ahead of the database's, which says when a row was announced. */
const clockSkewMs = 1_000;
/** What the server has sent arrives soon after its answer, which takes another way. */
const arrivalMs = { most: 200, every: 10 };
const stalledAfterMs = 4_000;
/** Looks at ghosts in one of so many calls: it takes two more questions. */
const ghostsEvery = 12;

export class Progress {
  readonly #deps: ProgressDeps;
  readonly #name: string;
  readonly #filter: string;
  #calls = 0;
  /** What had arrived when something was missing in the last call. */
  #incompleteAt: number | undefined;
  /** What had been delivered when nothing came in the last call. */
  #stalledAt: number | undefined;
  #suspectsGhosts = false;

  constructor(deps: ProgressDeps) {
    this.#deps = deps;
    this.#name = consumerName(deps.share);
    this.#filter = filterOf(deps.share);
  }

  /** Rather too early than too late: rows announced before it, and unknown to their owner, are announced again. */
  async caughtUpTo(api: Api): Promise<EpochMs> {
    const { inbox } = this.#deps;
    const info = await api.consumer(this.#name);
    const isComplete = await this.#hasArrived(info.delivered.consumer_seq);
    this.#lookForLoss(isComplete);
    this.#lookForStall(info);
    this.#calls += 1;
    if (this.#suspectsGhosts || this.#calls % ghostsEvery === 0) await this.#lookForGhosts(api, info);
    const undelivered =
      info.num_pending === 0
        ? Number.POSITIVE_INFINITY
        : ((await api.storedAt(this.#filter, info.delivered.stream_seq + 1)) ?? inbox.publishedUntil);
    const bounds = [isComplete ? undelivered : Math.min(undelivered, inbox.publishedUntil)];
    for (const delivery of inbox.waiting) bounds.push(delivery.publishedAt);
    return Math.min(...bounds) - clockSkewMs;
  }

  /** Whether everything is here that the server has sent: what is on its way counts as not delivered. */
  async #hasArrived(consumerSeq: number): Promise<boolean> {
    const { inbox, clock } = this.#deps;
    for (let waited = 0; inbox.consumerSeq < consumerSeq; waited += arrivalMs.every) {
      if (waited >= arrivalMs.most) return false;
      await clock.sleep(arrivalMs.every);
    }
    return true;
  }

  /** In two calls something was on its way, and nothing has come: it went to a connection that is gone. */
  #lookForLoss(isComplete: boolean): void {
    const { inbox } = this.#deps;
    const before = this.#incompleteAt;
    this.#incompleteAt = isComplete ? undefined : inbox.consumerSeq;
    if (isComplete || before !== inbox.consumerSeq) return;
    this.#incompleteAt = undefined;
    inbox.raise("lost");
  }

  /** A request is open, blocks are waiting, and in two calls nothing has come. */
  #lookForStall({ num_pending, delivered }: ConsumerInfo): void {
    const { inbox } = this.#deps;
    if (num_pending === 0 || (inbox.waitingMs ?? 0) < stalledAfterMs) {
      this.#stalledAt = undefined;
    } else if (this.#stalledAt === delivered.consumer_seq) {
      this.#stalledAt = undefined;
      inbox.raise("stalled");
    } else {
      this.#stalledAt = delivered.consumer_seq;
    }
  }

  /**
   * Messages that the stream has and the consumer neither will deliver nor waits for: a server that was killed, or followed
   * another one, has them although they were acked. They would fill the stream in time. One look may catch an ack on its way
   * between two servers, so it takes two.
   */
  async #lookForGhosts(api: Api, before: ConsumerInfo): Promise<void> {
    const { inbox, metrics } = this.#deps;
    const stored = await api.count(this.#filter);
    const after = await api.consumer(this.#name);
    const isQuiet =
      before.num_pending === after.num_pending &&
      before.num_ack_pending === after.num_ack_pending &&
      before.delivered.consumer_seq === after.delivered.consumer_seq;
    const ghosts = isQuiet ? stored - after.num_pending - after.num_ack_pending : 0;
    if (ghosts > 0 && this.#suspectsGhosts) {
      metrics.ghosts.inc(ghosts);
      inbox.raise("ghosts");
    }
    this.#suspectsGhosts = ghosts > 0 && !this.#suspectsGhosts;
  }
}
