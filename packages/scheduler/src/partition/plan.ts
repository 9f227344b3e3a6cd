// What to do with a row that was read when its turn came. Pure.
import { covers, type Epoch, type EpochMs, isFinal, type Lane, type Prefix } from "@sluice/core";
import type { FunctionRecord, TaskRow } from "@sluice/store";
import { mayBeOld } from "./memory.ts";

export type RowPlan =
  /** Run this attempt. */
  | { readonly kind: "dispatch" }
  /** Final, parked or somebody else's: its message has no meaning any more. */
  | { readonly kind: "forget" }
  /** An agent that does not answer may be running it. */
  | { readonly kind: "hold" }
  | { readonly kind: "stop" }
  | { readonly kind: "expire" }
  | { readonly kind: "invalid" }
  /** Its attempt was lost with an agent that is dead: the next one runs. */
  | { readonly kind: "lost" };

export interface PlanFacts {
  readonly epoch: Epoch;
  readonly prefix: Prefix;
  /** As the message says. */
  readonly lane: Lane;
  readonly now: EpochMs;
  /** Whether every agent that may run attempts of earlier owners has answered or is dead. */
  readonly allAnswered: boolean;
  /** It was held for an agent that died unheard. */
  readonly isSuspect: boolean;
  readonly function: FunctionRecord | undefined;
}

export function planRow(row: TaskRow | undefined, facts: PlanFacts): RowPlan {
  if (row === undefined || isFinal(row.status) || row.endedAt !== undefined) return { kind: "forget" };
  // A row that moved to another lane belongs to that lane's owner, also if that is this one: it was announced anew.
  if (row.lane !== facts.lane || !covers(facts.prefix, row.lane)) return { kind: "forget" };
  if (row.dueAt !== undefined) return { kind: "forget" };
  if (mayBeOld(row, facts.epoch) && !facts.allAnswered) return { kind: "hold" };
  // It was started and nobody has it, or it may have been: the agent that had it is gone.
  if (row.status === "Running" || (facts.isSuspect && mayBeOld(row, facts.epoch))) return { kind: "lost" };
  if (row.stopRequested) return { kind: "stop" };
  if (row.expiresAt !== undefined && row.expiresAt <= facts.now) return { kind: "expire" };
  if (facts.function === undefined) return { kind: "invalid" };
  return { kind: "dispatch" };
}
