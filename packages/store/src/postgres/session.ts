// A session: a connection on which the first request has been made.
import { AppError, type Clock, type Deadline } from "@sluice/core";
import { StoreUnavailable } from "../failures.ts";
import { sessionSettings } from "../sql.ts";
import { connect, type ServerAddress } from "./connect.ts";
import { type ConnectionOptions, PostgresConnection } from "./connection.ts";

export interface SessionOptions extends Pick<ConnectionOptions, "clock" | "onBroken"> {
  readonly connectDeadlineMs: number;
  readonly statementDeadlineMs: number;
  readonly signal: AbortSignal;
}

/**
 * A connection that is ready for statements. Rejects with `STORE_UNAVAILABLE`, also after the deadline and when the signal
 * aborts.
 */
export async function openSession(
  address: ServerAddress,
  { clock, statementDeadlineMs, connectDeadlineMs, signal, onBroken }: SessionOptions,
): Promise<PostgresConnection> {
  const limit = connectDeadline(clock, connectDeadlineMs, signal);
  let connection: PostgresConnection | undefined;
  const end = () => connection?.break(new StoreUnavailable("away", limit.signal.reason));
  limit.signal.addEventListener("abort", end, { once: true });
  try {
    const socket = await connect(address, limit.signal);
    connection = new PostgresConnection({ socket, clock, onBroken });
    await connection.exec(sessionStart(statementDeadlineMs), connectDeadlineMs);
    return connection;
  } catch (error) {
    connection?.close();
    // A server that does not take our settings is of no use either.
    throw error instanceof AppError && !(error instanceof StoreUnavailable)
      ? new StoreUnavailable("away", error)
      : error;
  } finally {
    limit.cancel();
    limit.signal.removeEventListener("abort", end);
  }
}

/**
 * A deadline with a moment of grace: when this process was held up, its timers come before what has arrived meanwhile is read,
 * and a server that answered in time would look silent.
 */
function connectDeadline(clock: Clock, ms: number, parent: AbortSignal): Deadline {
  const controller = new AbortController();
  const onParentAbort = () => controller.abort(parent.reason);
  let cancelTimer = clock.timer(ms, () => {
    cancelTimer = clock.timer(graceMs, () =>
      controller.abort(new DOMException(`no connection within ${ms} ms`, "TimeoutError")),
    );
  });
  if (parent.aborted) onParentAbort();
  parent.addEventListener("abort", onParentAbort, { once: true });
  return {
    signal: controller.signal,
    cancel() {
      cancelTimer();
      parent.removeEventListener("abort", onParentAbort);
    },
  };
}

const graceMs = 100;

/**
 * What the server does by itself about a session that is stuck or left alone. Ours notice first and go on; this is for what
 * they leave behind on the server, above all locks: a floor row that is locked holds up a take-over.
 */
const guards = (statementDeadlineMs: number): Readonly<Record<string, string>> => ({
  // A little earlier than our own deadline, so that its outcome is known. Migrations lift it for themselves.
  statement_timeout: `${Math.ceil(statementDeadlineMs * 0.95)}`,
  // What waits for a lock shares its queue with others: one that waits for a lock on the whole table, such as a migration
  // does, holds up every statement that comes after it.
  lock_timeout: "5000",
  // A process that froze between the statements of a transaction.
  idle_in_transaction_session_timeout: "6000",
  // A process that is gone, or gave up, while its statement goes on.
  client_connection_check_interval: "2000",
  // A process that froze and does not read its answer: none of the timeouts above ends a session that cannot send (the locks
  // of such a one were there until this was set).
  tcp_user_timeout: "6000",
});

/** Fails with "read-only transaction" on a server that takes no writes, such as a replica: this one is of no use. */
const demandWrites = `
do $$ begin
  if current_setting('transaction_read_only')::bool then
    raise exception using errcode = '25006', message = 'the server takes no writes';
  end if;
end $$;`;

/** The first request of every session. */
function sessionStart(statementDeadlineMs: number): string {
  const settings = { ...sessionSettings, ...guards(statementDeadlineMs) };
  const script = Object.entries(settings).map(([name, value]) => `set ${name} = ${value};`);
  return script.join("\n") + demandWrites;
}
