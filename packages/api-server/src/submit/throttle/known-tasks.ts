// A refusal says that nothing was submitted. That is not known of a submission with a token: an earlier try of it may have been
// accepted. So those are looked up before they are refused, of all messages together (`look-ups.ts`); and who is refused so much
// that the looks are used up is told that it is not known, not that nothing was submitted.
import { type AccountId, AppError, type Clock } from "@sluice/core";
import type { Store } from "@sluice/store";
import type { Draft } from "../parse-submission.ts";
import { createLookUps } from "./look-ups.ts";

export interface KnownTasks {
  /** Looks refused drafts of one account up. Rejects with what the store says. */
  find(drafts: readonly Draft[]): Promise<Found>;
}

export interface Found {
  /** They have a task already: recording them costs nothing, and answers them. */
  readonly known: ReadonlySet<Draft>;
  /** They may have one: their account has been looked up too often in this second, or too many of all accounts wait for that. */
  readonly unclear: ReadonlySet<Draft>;
}

/** Of one account on one api-server. A look costs a fifth of an insert; two messages of the TypeScript client fit. */
export const looksPerSecond = 2_000;

export interface KnownTasksOptions {
  readonly store: { readonly tasks: Pick<Store["tasks"], "known"> };
  readonly clock: Pick<Clock, "monotonic">;
}

export function createKnownTasks({ store, clock }: KnownTasksOptions): KnownTasks {
  const lookUps = createLookUps(store);
  let secondOf = Number.NEGATIVE_INFINITY;
  /** In this second. */
  const looks = new Map<AccountId, number>();

  function take(accountId: AccountId, wanted: number): number {
    const second = Math.floor(clock.monotonic() / 1_000);
    if (second !== secondOf) looks.clear();
    secondOf = second;
    const used = looks.get(accountId) ?? 0;
    const taken = Math.min(wanted, looksPerSecond - used, lookUps.roomOf(accountId));
    looks.set(accountId, used + taken);
    return taken;
  }

  return {
    async find(drafts) {
      const repeatable = drafts.filter(({ submissionToken }) => submissionToken !== "");
      const [first] = repeatable;
      const taken = first === undefined ? 0 : take(first.accountId, repeatable.length);
      const known = taken === 0 ? new Set<Draft>() : await lookUps.look(repeatable.slice(0, taken));
      return { known, unclear: new Set(repeatable.slice(taken)) };
    },
  };
}

/** Instead of the refusal, whose delay it keeps. */
export function unclearOutcome({ message, retryAfterMs = 1_000 }: AppError): AppError {
  const advice = "so much is refused that it was not looked up whether an earlier try was accepted";
  const again = `submit it again in ${Math.ceil(retryAfterMs / 1_000)} s with the same id and token`;
  return new AppError("unavailable", "SERVER_BUSY", `${advice}; ${again} (${message})`, { retryAfterMs });
}
