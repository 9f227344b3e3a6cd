// Connections to one PostgreSQL server, for many calls at once.
//
//   up ─── a connect fails, and nothing was heard meanwhile ──▶ down
//   ▲                                                            │ `#heal` connects again and again, ever more slowly
//   └──────────────────── a connection stands ───────────────────┘
//
// - up: a call takes an idle connection, or opens another one, or waits its turn, up to a bound and a deadline.
// - down: calls are refused at once.
//
// A connection that breaks costs the call that runs on it, no more. Whether the server is away is found out by connecting
// anew (`#grow`): nobody listens, or nothing comes back. A server that is slow, or has no room for more, is not away; so
// whatever is heard meanwhile on another connection speaks for it. A server that accepts requests and is silent (frozen, or
// behind a dead link) is noticed by `#watch`, as requests that stall.
import { setMaxListeners } from "node:events";
import { type AppError, type Clock, createHealthSignal, type HealthSignal, type Random } from "@sluice/core";
import type { Logger } from "@sluice/runtime";
import { StoreUnavailable } from "../failures.ts";
import type { PostgresMetrics } from "../metrics.ts";
import type { ServerAddress } from "./connect.ts";
import type { PostgresConnection } from "./connection.ts";
import { Connections } from "./connections.ts";
import { openSession } from "./session.ts";
import { Waiters } from "./waiters.ts";

export interface PoolOptions {
  readonly address: ServerAddress;
  readonly connectionsMax: number;
  readonly statementDeadlineMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: PostgresMetrics;
}

// A call to a server that falls silent is answered after `stallMs`, up to `watchMs`, and `connectDeadlineMs`.
const stallMs = 750;
const watchMs = 250;
const connectDeadlineMs = 1_250;
/** A look that comes later than this was held up together with the answers that it would miss. */
const lateMs = 1_000;
const waitDeadlineMs = 2_000;
const waitersMax = 1_000;
const backoffMs = { first: 50, max: 1_000 };
/** Closing waits so long for the calls that run. */
const closeDeadlineMs = 5_000;

export class Pool {
  readonly health: HealthSignal;
  readonly #health = createHealthSignal();
  readonly #options: PoolOptions;
  readonly #waiters: Waiters;
  readonly #connections: Connections;
  /** How many are being opened. */
  #connecting = 0;
  /** What `close` waits for: connections that are being opened, and the loops. */
  readonly #working = new Set<Promise<void>>();
  #isHealing = false;
  /** Why calls are refused; undefined: up. */
  #downBy: AppError | undefined;
  /** A connection broke: `#watch` finds out whether the server is there. */
  #isDoubtful = false;
  /** When a connection was opened for the last time. As the other times here: monotonic. */
  #connectedAt = Number.NEGATIVE_INFINITY;
  /** The server has no room for more: not before then. */
  #growsAgainAt = Number.NEGATIVE_INFINITY;
  readonly #closing = new AbortController();
  #onEmpty = () => {};

  constructor(options: PoolOptions) {
    const { clock, metrics } = options;
    this.health = this.#health;
    this.#options = options;
    this.#connections = new Connections(metrics);
    this.#waiters = new Waiters({ clock, metrics, countMax: waitersMax, deadlineMs: waitDeadlineMs });
    this.#downBy = new StoreUnavailable("away", new Error("there is no connection yet"));
    // Every connection that is being opened listens, and the loops.
    setMaxListeners(options.connectionsMax + 10, this.#closing.signal);
  }

  /** Connects. Until then the pool is down. */
  start(): void {
    this.#work(this.#heal());
    this.#work(this.#watch());
  }

  /** A connection for the caller alone, until `release`. Rejects with `STORE_UNAVAILABLE`: nothing was done. */
  async acquire(): Promise<PostgresConnection> {
    if (this.#downBy !== undefined) throw new StoreUnavailable("away", this.#downBy);
    const idle = this.#connections.takeIdle();
    if (idle !== undefined) return idle;
    if (this.#hasRoom()) this.#work(this.#grow());
    return await this.#waiters.join();
  }

  release(connection: PostgresConnection): void {
    if (!connection.isUsable) return;
    if (connection.transaction !== "none") {
      connection.break(new StoreUnavailable("broken", new Error("it was left in a transaction")));
      return;
    }
    if (this.#waiters.serve(connection)) return;
    this.#connections.putBack(connection);
    if (this.#isClosing) this.#closeIdle();
  }

  /** Refuses what comes, and waits for the calls that run. */
  async close(): Promise<void> {
    const { clock } = this.#options;
    const closed = new StoreUnavailable("away", new Error("the store was closed"));
    this.#downBy = closed;
    this.#closing.abort(closed);
    this.#waiters.rejectAll(closed);
    this.#closeIdle();
    const isEmpty = new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
    const cancelTimer = clock.timer(closeDeadlineMs, () => this.#connections.breakAll(closed));
    if (this.#connections.count > 0) await isEmpty;
    cancelTimer();
    await Promise.all(this.#working);
    this.#health.set(false);
  }

  get #isClosing(): boolean {
    return this.#closing.signal.aborted;
  }

  // --------------------------------------------------------------------------------------------- connections come and go

  #hasRoom(): boolean {
    const { connectionsMax, clock } = this.#options;
    return this.#connections.count + this.#connecting < connectionsMax && clock.monotonic() >= this.#growsAgainAt;
  }

  /** Opens a connection, also to see whether the server is there. */
  async #grow(): Promise<void> {
    const startedAt = this.#options.clock.monotonic();
    this.#isDoubtful = false;
    try {
      this.#admit(await this.#open());
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error;
      this.#refused(error, startedAt);
    }
  }

  /** Down: connects until that succeeds. */
  async #heal(): Promise<void> {
    const { clock, random } = this.#options;
    // One that still sleeps, after another connection stood meanwhile, goes on.
    if (this.#isHealing) return;
    this.#isHealing = true;
    for (let pauseMs = backoffMs.first; this.#downBy !== undefined && !this.#isClosing; ) {
      try {
        this.#admit(await this.#open());
      } catch (error) {
        if (!(error instanceof StoreUnavailable)) throw error;
        this.#stillDown(error);
        await clock.sleep(pauseMs * (0.5 + random.next() / 2), this.#closing.signal);
        pauseMs = Math.min(pauseMs * 2, backoffMs.max);
      }
    }
    this.#isHealing = false;
  }

  #stillDown(error: StoreUnavailable): void {
    // Once per reason: a server that is starting, or a wrong password, is news.
    if (`${error.cause}` !== `${this.#downBy?.cause}`) this.#options.log.warn("the store cannot be reached", { error });
    this.#downBy = error;
  }

  async #open(): Promise<PostgresConnection> {
    const { address, statementDeadlineMs, clock, metrics } = this.#options;
    metrics.connections.set({ state: "connecting" }, ++this.#connecting);
    let outcome = "failed";
    try {
      const connection = await openSession(address, {
        clock,
        connectDeadlineMs,
        statementDeadlineMs,
        signal: this.#closing.signal,
        onBroken: (broken) => this.#onBroken(broken),
      });
      outcome = "connected";
      return connection;
    } finally {
      metrics.connections.set({ state: "connecting" }, --this.#connecting);
      metrics.connects.inc({ outcome });
    }
  }

  #admit(connection: PostgresConnection): void {
    const { clock, log, connectionsMax } = this.#options;
    if (this.#isClosing || !connection.isUsable) {
      connection.close();
      return;
    }
    this.#connectedAt = clock.monotonic();
    if (this.#downBy !== undefined) {
      this.#downBy = undefined;
      this.#health.set(true);
      this.#options.metrics.up.set(1);
      log.info("the store answers");
    }
    if (this.#connections.count >= connectionsMax) {
      // It was opened to see whether the server is there.
      connection.close();
      return;
    }
    this.#connections.add(connection);
    this.release(connection);
  }

  #onBroken(connection: PostgresConnection): void {
    if (!this.#connections.remove(connection)) return;
    this.#isDoubtful = true;
    if (this.#connections.count === 0) this.#onEmpty();
  }

  #closeIdle(): void {
    for (let idle = this.#connections.takeIdle(); idle !== undefined; idle = this.#connections.takeIdle()) {
      idle.close();
      this.#onBroken(idle);
    }
  }

  // ------------------------------------------------------------------------------------------------ is the server there?

  #refused(error: StoreUnavailable, startedAt: number): void {
    if (this.#downBy !== undefined) return;
    const isHeard = this.#heardAt() > startedAt;
    const isFull = error.outage === "too_many_connections" && this.#connections.count > 0;
    if (isHeard || isFull) this.#growsAgainAt = this.#options.clock.monotonic() + backoffMs.max;
    else this.#goDown(error);
  }

  #goDown(cause: AppError): void {
    const { log, metrics } = this.#options;
    this.#downBy = cause;
    this.#health.set(false);
    metrics.up.set(0);
    metrics.outages.inc();
    log.warn("the store is away", { error: cause });
    this.#connections.breakAll(new StoreUnavailable("broken", cause));
    this.#isDoubtful = false;
    this.#waiters.rejectAll(new StoreUnavailable("away", cause));
    this.#work(this.#heal());
  }

  async #watch(): Promise<void> {
    const { clock } = this.#options;
    while (!this.#isClosing) {
      const dueAt = clock.monotonic() + watchMs;
      await clock.sleep(watchMs, this.#closing.signal);
      // This process was held up: what has arrived meanwhile is read after this turn.
      if (clock.monotonic() - dueAt < lateMs) this.#look();
    }
  }

  #look(): void {
    const now = this.#options.clock.monotonic();
    let isStalled = false;
    for (const connection of this.#connections.all()) {
      const { pending } = connection;
      if (pending === undefined) continue;
      const waitedMs = now - pending.sentAt;
      if (waitedMs > stallMs) isStalled = true;
      if (waitedMs > pending.deadlineMs) {
        const late = new Error(`no answer within ${pending.deadlineMs} ms`);
        connection.break(new StoreUnavailable("deadline", late));
      }
    }
    if (this.#downBy !== undefined || this.#connecting > 0) return;
    const isSilent = isStalled && now - this.#heardAt() > stallMs;
    // Somebody may wait for whom there was no room a moment ago.
    const isNeeded = this.#waiters.count > 0 && this.#hasRoom();
    if (isSilent || isNeeded || this.#isDoubtful) this.#work(this.#grow());
  }

  /** When the server was heard for the last time. */
  #heardAt(): number {
    return Math.max(this.#connectedAt, this.#connections.heardAt);
  }

  /** In the background. What it rejects with is a bug, and ends the process. */
  #work(work: Promise<void>): void {
    this.#working.add(work);
    void work.finally(() => this.#working.delete(work));
  }
}
