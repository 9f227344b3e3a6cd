// Whose attempts may be stopped for whom: an account that marks everything urgent must not have more stopped of others than brings
// it to what they run.
import type { Attempt } from "./attempt.ts";

/** Attempts by account. */
export type RunningCounts = ReadonlyMap<string, number>;

/** Its own come before those of any other account. */
const own = Number.MAX_SAFE_INTEGER;

/**
 * Which account's attempts are stopped first for one of the account that asks: its own; then those of accounts that run more than
 * it does, the most first. The agent does not know the weights of accounts: to it they are alike.
 * @returns the higher the sooner; 0: none of this account's.
 */
export function claimOn(accountId: string, { asker, running }: { asker: string; running: RunningCounts }): number {
  if (accountId === asker) return own;
  const count = running.get(accountId) ?? 0;
  return count > (running.get(asker) ?? 0) ? count : 0;
}

/** An attempt of a function that is not known belongs to no account. */
export function accountOf({ flow }: Pick<Attempt, "flow">): string {
  return flow?.accountId ?? "";
}
