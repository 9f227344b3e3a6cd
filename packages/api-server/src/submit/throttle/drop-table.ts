// The drops of one document, by account.
import type { Admission, Drop } from "@sluice/coordination";
import { type AccountId, decayedDrop, type Flow } from "@sluice/core";

/** Why a submission may be refused. */
export interface Chance {
  readonly probability: number;
  readonly scope: "account" | "function" | "small accounts";
  /** Undefined: of those that are small. */
  readonly drop: Drop | undefined;
}

export interface DropTable {
  /** The highest chance that fits; undefined: it is admitted. `overdueMs`: for how long the document is not valid any more. */
  chanceOf(arrival: Flow & { readonly queue: string }, overdueMs: number): Chance | undefined;
}

export function createDropTable({ drops, queues }: Admission): DropTable {
  const byAccount = new Map<AccountId, Drop[]>();
  for (const drop of drops) {
    const known = byAccount.get(drop.accountId);
    if (known === undefined) byAccount.set(drop.accountId, [drop]);
    else known.push(drop);
  }

  function named({ accountId, functionName, queue }: Flow & { readonly queue: string }): Chance | undefined {
    const fitting = (byAccount.get(accountId) ?? []).filter(
      (drop) =>
        (drop.queue === undefined || drop.queue === queue) &&
        // A leader of the release before takes what a report does not name for a function without a name.
        (!drop.functionName || drop.functionName === functionName),
    );
    const highest = fitting.reduce<Drop | undefined>(
      (most, drop) => (most === undefined || drop.probability > most.probability ? drop : most),
      undefined,
    );
    if (highest === undefined) return undefined;
    const scope = highest.functionName ? "function" : "account";
    return { probability: highest.probability, scope, drop: highest };
  }

  return {
    chanceOf(arrival, overdueMs) {
      const othersDrop = queues.get(arrival.queue)?.othersDrop ?? 0;
      const chance = named(arrival) ?? { probability: othersDrop, scope: "small accounts", drop: undefined };
      const probability = decayedDrop(chance.probability, overdueMs);
      // A thousandth of what decays is nothing.
      return probability < 0.001 ? undefined : { ...chance, probability };
    },
  };
}
