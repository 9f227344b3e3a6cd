import type { Duplex } from "node:stream";
import { invalid, type TlsFiles } from "@sluice/core";
import pg from "pg";
import { StoreUnavailable, toAppError } from "../failures.ts";

export interface ServerAddress {
  /** `postgres://user:password@host:port/database`. */
  readonly url: string;
  /** Demands TLS; the server must prove with a certificate of this authority that it is the host of the url. */
  readonly tls?: TlsFiles;
}

/** After so long without traffic the kernel asks whether the other side is there, every second; the tenth silence ends it. */
const keepAliveAfterMs = 10_000;

/**
 * The socket of a session that waits for its first request: `pg` knows TLS and passwords, the rest is up to `wire.ts`.
 * Rejects with `STORE_UNAVAILABLE`, also when the signal aborts.
 */
export async function connect(address: ServerAddress, signal: AbortSignal): Promise<Duplex> {
  const client = new pg.Client(clientConfig(address));
  // From now on the socket's own events tell of failures; `pg` would throw those that nobody listens to.
  client.on("error", () => {});
  const end = () => client.connection.stream.destroy(signal.reason as Error);
  signal.addEventListener("abort", end, { once: true });
  try {
    signal.throwIfAborted();
    await client.connect();
  } catch (cause) {
    client.connection.stream.destroy();
    throw connectFailure(cause);
  } finally {
    signal.removeEventListener("abort", end);
  }
  // `pg` reads the socket no more. Nothing is lost: between its "ready for query" and our first request a server is silent,
  // but for news that concern nobody here.
  return client.connection.stream.removeAllListeners("data");
}

/** Throws `INVALID_SETTING` unless it is the address of a PostgreSQL server. */
export function checkAddress({ url }: ServerAddress): void {
  if (!URL.canParse(url) || !/^postgres(?:ql)?:$/.test(new URL(url).protocol)) {
    throw invalid("INVALID_SETTING", "url", "the store's url is postgres://user:password@host:port/database");
  }
}

function clientConfig({ url, tls }: ServerAddress): pg.ClientConfig {
  const keepAlive = { keepAlive: true, keepAliveInitialDelayMillis: keepAliveAfterMs };
  const rest = { ...keepAlive, fallback_application_name: "sluice" };
  // Unless the url asks for TLS itself: `pg` lets the url decide, so with `tls` it must not say anything.
  if (tls === undefined) return { ...rest, connectionString: url, ssl: false };
  const ssl = {
    ca: tls.ca,
    rejectUnauthorized: true,
    ...(tls.cert && { cert: tls.cert }),
    ...(tls.key && { key: tls.key }),
  };
  return { ...rest, connectionString: withoutTls(url), ssl };
}

function withoutTls(url: string): string {
  const parsed = new URL(url);
  for (const name of ["ssl", "sslmode", "sslcert", "sslkey", "sslrootcert"]) parsed.searchParams.delete(name);
  return parsed.href;
}

/** A server that answers with a failure cannot be used now, whatever it says: also a wrong password may be put right. */
function connectFailure(cause: unknown): StoreUnavailable {
  if (!(cause instanceof pg.DatabaseError)) return new StoreUnavailable("away", cause);
  const { code = "", message, constraint } = cause;
  const failure = toAppError({ sqlState: code, message, constraint }, "connect");
  return failure instanceof StoreUnavailable ? failure : new StoreUnavailable("away", failure.cause);
}
