// One consumer. Whoever pulls keeps it sound: it is examined first when it is in doubt.
//
//   in doubt ──examined: sound, or created anew──▶ sound ──request──▶ delivers
//      ▲ └──a higher epoch exists──▶ ended                   │
//      └──new connection, deleted, silent, leader changed────┘
//
// Acks and renewals are messages to the server, which knows deliveries by their position in the stream only. Deliveries of an
// earlier generation are therefore neither acked nor renewed: their positions may belong to other blocks.
import { AppError, assert, type Epoch, type EpochMs } from "@sluice/core";
import type { Logger } from "@sluice/runtime";
import type { Consumer, Delivery } from "../index.ts";
import { apiCode, isApiError } from "./api.ts";
import { confirm, type Verdict } from "./confirm.ts";
import type { Connection, Session } from "./connection.ts";
import { NatsDelivery } from "./delivery.ts";
import { type ExamineDeps, examine } from "./examine.ts";
import { isStaleEpoch, unavailable } from "./failures.ts";
import { Inbox, ownShareOfAckWait } from "./inbox.ts";
import type { NatsMetrics } from "./metrics.ts";
import { type OpenDeps, openConsumer } from "./open-consumer.ts";
import { Progress } from "./progress.ts";
import { consumerName, type OwnedShare } from "./subjects.ts";

export interface ConsumerDeps extends OpenDeps, ExamineDeps {
  readonly connection: Connection;
  readonly log: Logger;
  readonly metrics: NatsMetrics;
}

const retryMs = { first: 100, max: 2_000 };

export class NatsConsumer implements Consumer {
  readonly share: OwnedShare;
  readonly epoch: Epoch;
  readonly #deps: ConsumerDeps;
  readonly #log: Logger;
  readonly #inbox: Inbox;
  readonly #progress: Progress;
  readonly #stopWatching: () => void;
  readonly #waiting = new Set<() => void>();
  #settling: Promise<AppError | undefined> | undefined;
  #failures = 0;
  #endedBy: AppError | undefined;

  /** Of a consumer that was opened on this session. */
  constructor(deps: ConsumerDeps, session: Session, share: OwnedShare) {
    const { clock, metrics, ackWaitMs, connection } = deps;
    const name = consumerName(share);
    this.share = share;
    this.epoch = share.epoch;
    this.#deps = deps;
    this.#log = deps.log.child({ consumer: name });
    const onChange = () => this.#notify();
    this.#inbox = new Inbox({ name, ackWaitMs, clock, log: this.#log, metrics, onChange });
    this.#progress = new Progress({ share, inbox: this.#inbox, clock, metrics });
    this.#inbox.attach(session);
    this.#stopWatching = connection.watch(onChange);
  }

  async pull(max: number, signal: AbortSignal): Promise<Delivery[]> {
    assert(Number.isInteger(max) && max >= 1, `a pull asks for at least one block, not ${max}`);
    const { connection } = this.#deps;
    for (;;) {
      if (this.#endedBy !== undefined) throw this.#endedBy;
      if (signal.aborted) return [];
      this.#inbox.checkSilence();
      const { session } = connection;
      if (session !== undefined && !this.#isSound(session)) {
        await this.#settleFor(session, signal);
        continue;
      }
      const taken = this.#inbox.take(max);
      if (taken.length > 0) return taken;
      if (session !== undefined) this.#inbox.request(max);
      await this.#change(signal, session && this.#inbox.patienceMs);
    }
  }

  async ack(deliveries: readonly Delivery[]): Promise<void> {
    await this.#tell("+ACK", deliveries);
  }

  async renew(deliveries: readonly Delivery[]): Promise<void> {
    const { clock, ackWaitMs } = this.#deps;
    const now = clock.monotonic();
    // What waits here for a pull is in nobody else's hands.
    const waiting = this.#inbox.waiting.filter(({ invisibleUntil }) => invisibleUntil > now);
    await this.#tell("+WPI", [...deliveries, ...waiting]);
    for (const delivery of waiting) delivery.invisibleUntil = now + ackWaitMs * ownShareOfAckWait;
  }

  async caughtUpTo(): Promise<EpochMs> {
    const session = this.#deps.connection.require();
    if (this.#endedBy !== undefined) throw this.#endedBy;
    if (!this.#isSound(session)) {
      const failure = await this.#settle(session);
      if (failure !== undefined) throw failure;
    }
    try {
      const time = await this.#progress.caughtUpTo(session.api);
      if (this.#endedBy === undefined) return time;
    } catch (error) {
      if (!isApiError(error, apiCode.consumerNotFound, apiCode.streamNotFound)) throw error;
      this.#inbox.raise("deleted");
      throw (await this.#settle(session)) ?? unavailable("the consumer was created anew; ask again", error);
    }
    throw this.#endedBy;
  }

  /** Gives up the partition: the consumer is deleted, so that the next one of these lanes need not do it. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#endedBy !== undefined) return;
    this.end(new AppError("cancelled", "CONSUMER_CLOSED", "the consumer is closed"));
    await this.#settling;
    const { session } = this.#deps.connection;
    try {
      await session?.api.deleteConsumer(consumerName(this.share));
    } catch (cause) {
      this.#log.debug("left a consumer to its successor", { cause: String(cause) });
    }
  }

  get hasEnded(): boolean {
    return this.#endedBy !== undefined;
  }

  /** Its pulls reject with `reason`; the server is not told. */
  end(reason: AppError): void {
    if (this.#endedBy !== undefined) return;
    this.#endedBy = reason;
    this.#stopWatching();
    this.#inbox.detach();
    this.#notify();
  }

  #isSound(session: Session): boolean {
    return this.#inbox.doubt === undefined && this.#inbox.session === session;
  }

  async #settleFor(session: Session, signal: AbortSignal): Promise<void> {
    let failure: AppError | undefined;
    let isSettled = false;
    const settled = this.#settle(session)
      .then((result) => {
        failure = result;
      })
      .finally(() => {
        isSettled = true;
        this.#notify();
      });
    while (!isSettled && !signal.aborted) await this.#change(signal);
    if (!isSettled) return;
    await settled;
    if (failure === undefined) return;
    const ceiling = Math.min(retryMs.max, retryMs.first * 2 ** Math.min(this.#failures, 10));
    await this.#deps.clock.sleep(ceiling * (0.5 + this.#deps.random.next() / 2), signal);
  }

  /** Examines the consumer and cures it; one at a time for all who wait. Returns why that failed. */
  #settle(session: Session): Promise<AppError | undefined> {
    this.#settling ??= this.#examine(session).finally(() => {
      this.#settling = undefined;
    });
    return this.#settling;
  }

  async #examine(session: Session): Promise<AppError | undefined> {
    try {
      const cause = await examine(this.#deps, session, this.share, this.#inbox);
      if (this.#endedBy !== undefined) return this.#endedBy;
      if (cause !== undefined) {
        await openConsumer(this.#deps, session, this.share);
        this.#inbox.renewGeneration();
        this.#deps.metrics.recreatedConsumers.inc({ cause });
        this.#log.info("created a consumer anew", { cause });
        if (this.#endedBy !== undefined) return this.#endedBy;
      }
      this.#inbox.attach(session);
      this.#failures = 0;
      return undefined;
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      if (isStaleEpoch(error)) this.end(error);
      else if (this.#failures === 0 && this.#deps.connection.session === session) {
        this.#log.warn("cannot examine a consumer; trying again", { cause: String(error) });
      }
      this.#failures += 1;
      return error;
    }
  }

  #current(deliveries: readonly Delivery[]): NatsDelivery[] {
    const { generation } = this.#inbox;
    return deliveries.filter((delivery): delivery is NatsDelivery => {
      assert(delivery instanceof NatsDelivery, "a delivery goes back, as it is, to the queue that it came from");
      return delivery.generation === generation;
    });
  }

  async #tell(verdict: Verdict, deliveries: readonly Delivery[]): Promise<void> {
    if (deliveries.length === 0 || this.#endedBy !== undefined) return;
    const session = this.#deps.connection.require();
    if (!this.#isSound(session)) {
      const failure = await this.#settle(session);
      if (isStaleEpoch(failure)) return;
      if (failure !== undefined) throw failure;
    }
    const subjects = this.#current(deliveries).map(({ ackSubject }) => ackSubject);
    if (!(await confirm(session, subjects, verdict))) this.#inbox.raise("deleted");
  }

  #notify(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }

  /** Resolves at the next change, when the signal aborts, or after `timeoutMs`. */
  #change(signal: AbortSignal, timeoutMs?: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        cancelTimer?.();
        signal.removeEventListener("abort", wake);
        this.#waiting.delete(wake);
        resolve();
      };
      const cancelTimer = timeoutMs === undefined ? undefined : this.#deps.clock.timer(timeoutMs, wake);
      signal.addEventListener("abort", wake, { once: true });
      this.#waiting.add(wake);
    });
  }
}
