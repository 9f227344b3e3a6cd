// What to do with a row that was read when its turn came. Pure.
import { type Epoch, type EpochMs, type Home, isFinal, type Lane } from "@sluice/core";
import type { FunctionRecord, TaskRow } from "@sluice/store";
import { mayBeOld } from "./memory.ts";

export type RowPlan =
  /** Run this attempt. */
  | "dispatch"
  /** Final, parked, somebody else's, or beyond this release: its message has no meaning any more, or none yet. */
  | "forget"
  /** An agent that does not answer may be running it. */
  | "hold"
  | "stop"
  | "expire"
  /** It passes the filter of a pause: it is parked until that ends. */
  | "pause"
  /** Its flow is limited, and lies in another lane: give it to the owner of that one. */
  | "move"
  /** Its function does not exist any more. */
  | "invalid"
  /** Its attempt was lost with an agent that is dead: the next one runs. */
  | "lost";

/** The same for all rows of a batch. */
export interface PlanFacts {
  readonly epoch: Epoch;
  readonly queue: string;
  /** Of the partition; `until` is exclusive. */
  readonly lanes: { readonly from: Lane; readonly until: Lane };
  readonly now: EpochMs;
  /** Whether every agent that may run attempts of earlier owners has answered or is dead. */
  readonly allAnswered: boolean;
}

export interface RowContext {
  /** As the message says. */
  readonly lane: Lane;
  /** It was held for an agent that died unheard. */
  readonly isSuspect: boolean;
  readonly function: FunctionRecord | undefined;
  /** Whether it passes the filter of a pause; default: no. */
  readonly isPaused?: boolean;
  /** The one lane of its flow; undefined: it may lie anywhere. */
  readonly home?: Home | undefined;
}

export function planRow(row: TaskRow | undefined, known: RowContext, facts: PlanFacts): RowPlan {
  if (row === undefined || row.status === "Unknown" || isFinal(row.status) || row.endedAt !== undefined)
    return "forget";
  // A row that moved to another lane belongs to that lane's owner, also if that is this one: it was announced anew.
  if (row.lane !== known.lane || row.lane < facts.lanes.from || row.lane >= facts.lanes.until) return "forget";
  if (row.dueAt !== undefined) return "forget";
  if (mayBeOld(row, facts.epoch) && !facts.allAnswered) return "hold";
  // It was started and nobody has it, or it may have been: the agent that had it is gone.
  if (row.status === "Running" || (known.isSuspect && mayBeOld(row, facts.epoch))) return "lost";
  if (row.stopRequested) return "stop";
  if (row.expiresAt !== undefined && row.expiresAt <= facts.now) return "expire";
  if (known.function === undefined) return "invalid";
  if (known.isPaused) return "pause";
  const { home } = known;
  return home && (home.queue !== facts.queue || home.lane !== row.lane) ? "move" : "dispatch";
}
