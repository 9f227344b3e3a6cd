// A session: a connection on which the first request has been made.
import { deadline } from "@sluice/core";
import { StoreUnavailable } from "../failures.ts";
import { sessionSettings } from "../sql.ts";
import { connect, type ServerAddress } from "./connect.ts";
import { type ConnectionOptions, PostgresConnection } from "./connection.ts";

/**
 * A connection that is ready for statements. Rejects with `STORE_UNAVAILABLE`, also after the deadline and when the signal
 * aborts.
 */
export async function openSession(
  address: ServerAddress,
  { clock, deadlineMs, signal, onBroken }: SessionOptions,
): Promise<PostgresConnection> {
  const limit = deadline(clock, deadlineMs, signal);
  let connection: PostgresConnection | undefined;
  const end = () => connection?.break(new StoreUnavailable("away", limit.signal.reason));
  limit.signal.addEventListener("abort", end, { once: true });
  try {
    const socket = await connect(address, limit.signal);
    connection = new PostgresConnection({ socket, clock, onBroken });
    await connection.exec(sessionStart(), deadlineMs);
    return connection;
  } catch (error) {
    connection?.close();
    throw error;
  } finally {
    limit.cancel();
    limit.signal.removeEventListener("abort", end);
  }
}

export interface SessionOptions extends Pick<ConnectionOptions, "clock" | "onBroken"> {
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

/** How long a statement of the store may take; what takes longer has met a server that is in trouble. */
export const statementDeadlineMs = 10_000;

/** The same for a script: a migration may build an index over millions of rows. */
export const scriptDeadlineMs = 30 * 60_000;

/**
 * What the server does by itself about a session that is stuck or left alone. Ours notice first and go on; this is for what
 * they leave behind on the server, above all locks: a floor row that is locked holds up a take-over.
 */
const guards: Readonly<Record<string, string>> = {
  // A little earlier than our own deadline, so that its outcome is known. Migrations lift it for themselves.
  statement_timeout: `${statementDeadlineMs - 500}`,
  // What waits for a lock shares its queue with others: one that waits for a lock on the whole table, such as a migration
  // does, holds up every statement that comes after it.
  lock_timeout: "5000",
  // A process that froze between the statements of a transaction.
  idle_in_transaction_session_timeout: "10000",
  // A process that is gone, or gave up, while its statement goes on.
  client_connection_check_interval: "2000",
  // A process that froze and does not read its answer: neither of the timeouts above ends a session that cannot send.
  tcp_user_timeout: "15000",
};

/** Fails with "read-only transaction" on a server that takes no writes, such as a replica: this one is of no use. */
const demandWrites = `
do $$ begin
  if current_setting('transaction_read_only')::bool then
    raise exception using errcode = '25006', message = 'the server takes no writes';
  end if;
end $$;`;

/** The first request of every session. */
function sessionStart(): string {
  const settings = Object.entries({ ...sessionSettings, ...guards }).map(([name, value]) => `set ${name} = ${value};`);
  return settings.join("\n") + demandWrites;
}
