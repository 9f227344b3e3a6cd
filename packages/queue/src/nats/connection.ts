// Loop: one connection, for ever.
//
//   away ──connected──▶ up ──lost──▶ away
//
// A connection is never repaired by the library: it would buffer what is published while it is away and send it later, long
// after everybody has been told that it failed. Each connection is a new session; who holds state per session (inboxes,
// subscriptions, pulls) begins anew with it.
import type { AppError, Clock, Random, TlsFiles } from "@sluice/core";
import type { Logger } from "@sluice/runtime";
import { type ConnectionOptions, connect, type NatsConnection } from "nats";
import { JetStreamApi } from "./api.ts";
import { away, unavailable } from "./failures.ts";
import type { NatsMetrics } from "./metrics.ts";
import { Replies } from "./replies.ts";

export interface ConnectionSettings {
  readonly servers: readonly string[];
  readonly tls?: TlsFiles;
  readonly credentials?: { readonly user: string; readonly password: string };
}

export interface ConnectionDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: NatsMetrics;
}

/** One connection while it lasts. */
export interface Session {
  readonly connection: NatsConnection;
  readonly replies: Replies;
  readonly api: JetStreamApi;
  /** Prefix of subjects that only this session listens to. */
  readonly inbox: string;
  /** Of this life of the server: another one after its restart. */
  readonly serverId: string;
  readonly payloadBytesMax: number;
}

const connectTimeoutMs = 3_000;
/** A server that does not answer two pings is lost: after 10 to 15 s. What waits for answers has deadlines of its own. */
const pings = { intervalMs: 5_000, unansweredMax: 2 };
const backOffMs = { first: 50, max: 2_000 };

export class Connection {
  readonly #settings: ConnectionSettings;
  readonly #deps: ConnectionDeps;
  readonly #listeners = new Set<() => void>();
  #session: Session | undefined;

  constructor(settings: ConnectionSettings, deps: ConnectionDeps) {
    this.#settings = settings;
    this.#deps = deps;
  }

  /** Undefined while no server is connected. */
  get session(): Session | undefined {
    return this.#session;
  }

  /** Rejects with `QUEUE_UNAVAILABLE` at once while no server is connected. */
  require(): Session {
    if (this.#session === undefined) throw away();
    return this.#session;
  }

  /** Calls `listener` whenever a session begins or ends; returns how to stop. */
  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, log, metrics } = this.#deps;
    let failures = 0;
    let hasBeenUp = false;
    while (!signal.aborted) {
      try {
        const connection = await this.#connect(signal);
        if (connection === undefined) return;
        if (hasBeenUp) metrics.reconnects.inc();
        log.info("connected to NATS", { server: connection.getServer(), version: connection.info?.version });
        hasBeenUp = true;
        failures = 0;
        await this.#live(connection, signal);
      } catch (cause) {
        if (failures === 0) log.warn("cannot connect to NATS; trying again", { cause: String(cause) });
        failures += 1;
      }
      const ceiling = Math.min(backOffMs.max, backOffMs.first * 2 ** Math.min(failures, 10));
      await clock.sleep(ceiling * (0.5 + random.next() / 2), signal);
    }
  }

  /** Undefined when the signal aborts first; a connection that comes later is closed again. */
  async #connect(signal: AbortSignal): Promise<NatsConnection | undefined> {
    const connecting = connect(optionsOf(this.#settings));
    let onAbort = () => {};
    const aborted = new Promise<undefined>((resolve) => {
      onAbort = () => resolve(undefined);
    });
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await Promise.race([connecting, aborted]);
    } finally {
      signal.removeEventListener("abort", onAbort);
      if (signal.aborted) {
        connecting.then(
          (late) => late.close(),
          () => undefined,
        );
      }
    }
  }

  async #live(connection: NatsConnection, signal: AbortSignal): Promise<void> {
    const { clock, random, log } = this.#deps;
    const inbox = `_INBOX.${random.hex(11)}`;
    const replies = new Replies({ connection, clock, inbox: `${inbox}.r` });
    const session: Session = {
      connection,
      replies,
      api: new JetStreamApi(replies),
      inbox,
      serverId: connection.info?.server_id ?? "",
      payloadBytesMax: connection.info?.max_payload ?? 0,
    };
    const onAbort = () => void connection.close();
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    this.#change(session);
    const cause = await connection.closed();
    signal.removeEventListener("abort", onAbort);
    this.#change(undefined);
    replies.end(lost(cause));
    if (!signal.aborted) log.warn("lost the connection to NATS", { cause: String(cause ?? "closed by the server") });
  }

  #change(session: Session | undefined): void {
    this.#session = session;
    for (const listener of [...this.#listeners]) listener();
  }
}

function lost(cause: unknown): AppError {
  return unavailable("the connection to NATS was lost", cause instanceof Error ? cause : undefined);
}

function optionsOf({ servers, tls, credentials }: ConnectionSettings): ConnectionOptions {
  return {
    servers: [...servers],
    name: "sluice",
    reconnect: false,
    waitOnFirstConnect: false,
    timeout: connectTimeoutMs,
    pingInterval: pings.intervalMs,
    maxPingOut: pings.unansweredMax,
    noAsyncTraces: true,
    ...(tls === undefined ? {} : { tls: { ...tls } }),
    ...(credentials === undefined ? {} : { user: credentials.user, pass: credentials.password }),
  };
}
