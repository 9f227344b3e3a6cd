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
  if (isTransient(failure.sqlState)) return unavailable(cause);
  return new AppError("internal", "STORE_FAILED", `the statement ${statementName || "(unnamed)"} failed`, { cause });
}

/** The store does not answer; whether a write took effect is not known. */
export function unavailable(cause: unknown): AppError {
  return new AppError("unavailable", "STORE_UNAVAILABLE", "the store does not answer; try again", { cause });
}

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

/**
 * Connection failures (08), rollbacks by serialization or deadlock (40), lack of resources (53), operator intervention
 * such as a shutdown (57P), a server that is read-only because it is a replica (25006), and failures of the disk (58).
 */
function isTransient(sqlState: string): boolean {
  return /^(08|40|53|57P|58|25006)/.test(sqlState);
}
