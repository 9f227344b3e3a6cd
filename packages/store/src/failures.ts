import { AppError } from "@sluice/core";
import type { DatabaseFailure } from "./wire.ts";

/**
 * A failure of the database as the rest of Sluice knows it: what may be tried again is `unavailable`, text that the
 * database cannot hold is the caller's mistake, and everything else is a bug of ours.
 */
export function toAppError(failure: DatabaseFailure, statementName: string): AppError {
  const cause = new DatabaseError(failure);
  if (failure.sqlState === notInRepertoire || failure.sqlState === untranslatable) {
    return new AppError("invalid", "INVALID_TEXT", "a text contains a NUL or is not valid Unicode", { cause });
  }
  const kind = outageOf(failure.sqlState);
  if (kind !== undefined) return new StoreUnavailable(kind, cause);
  return new AppError("internal", "STORE_FAILED", `the statement ${statementName || "(unnamed)"} failed`, { cause });
}

/** Why the store could not do what it was asked for; `outages` says it in words. */
export type Outage = keyof typeof outages;

/** May be tried again. Whether a write took effect is known only where the message says so. */
export class StoreUnavailable extends AppError {
  readonly outage: Outage;

  constructor(outage: Outage, cause: unknown) {
    super("unavailable", "STORE_UNAVAILABLE", outages[outage], { cause });
    this.outage = outage;
  }
}

const outages = {
  away: "the store cannot be reached, nothing was done; try again",
  no_connection: "every connection to the store is in use, nothing was done; try again",
  broken: "the store does not answer; try again",
  deadline: "the store did not answer in time; try again",
  cancelled: "the store took too long and gave up, nothing was done; try again",
  lock_timeout: "another transaction holds what is needed, nothing was done; try again",
  deadlock: "the store resolved a deadlock, nothing was done; try again",
  serialization: "the store rolled the transaction back, nothing was done; try again",
  stopping: "the store is stopping or starting; try again",
  too_many_connections: "the store accepts no more connections, nothing was done; raise its max_connections",
  disk_full: "the disk of the store is full, nothing was done; make room",
  resources: "the store has run out of a resource, nothing was done; look into its log",
  read_only: "the store is read-only, nothing was done; it is a replica, or was made so",
  disk: "the store cannot read or write its disk; look into its log",
} as const;

/** What the database said; always the `cause` of an `AppError`. */
export class DatabaseError extends Error {
  override readonly name = "DatabaseError";
  readonly sqlState: string;
  readonly constraint: string | undefined;

  constructor(failure: DatabaseFailure) {
    super(`${failure.message} (${failure.sqlState})`);
    this.sqlState = failure.sqlState;
    this.constraint = failure.constraint;
  }
}

/** Whether an error is the violation of a foreign key: a row that we refer to was deleted meanwhile, or is in use. */
export function isForeignKeyViolation(error: unknown): boolean {
  return error instanceof AppError && error.cause instanceof DatabaseError && error.cause.sqlState === "23503";
}

const notInRepertoire = "22021";
const untranslatable = "22P05";

/** The first one that the SQLSTATE begins with. */
const outageOfState: readonly (readonly [prefix: string, outage: Outage])[] = [
  ["08", "broken"],
  ["25006", "read_only"],
  // The session was ended because its transaction did nothing for too long.
  ["25P03", "broken"],
  ["40P01", "deadlock"],
  ["40", "serialization"],
  ["53100", "disk_full"],
  ["53300", "too_many_connections"],
  ["53", "resources"],
  ["55P03", "lock_timeout"],
  ["57014", "cancelled"],
  ["57P", "stopping"],
  ["58", "disk"],
];

function outageOf(sqlState: string): Outage | undefined {
  return outageOfState.find(([prefix]) => sqlState.startsWith(prefix))?.[1];
}
