import type { AttemptOutcome, AttemptRef } from "@sluice/protocol";
import type { FlowName } from "./flow-floors.ts";

/** What an attempt is that may be stopped for others. */
export interface Stoppable {
  /** 0 (urgent) to 3 (low). */
  readonly priority: number;
  /** MiB of its instance; 0: not known. */
  readonly memoryMb: number;
}

/** An attempt as the gate keeps it, from its acceptance until its owner has confirmed its outcome. */
export interface Attempt {
  /** Where its row lies, as far as is known: who owns that lane hears of it. */
  ref: AttemptRef;
  /** Where its row lay before that; undefined: it was always there. */
  left: AttemptRef | undefined;
  /** An owner has dispatched it to this incarnation, or asked it to stop it. */
  isSent: boolean;
  /** Undefined: it is not known, and does not run. */
  readonly flow: FlowName | undefined;
  /** May be stopped for a task of a higher priority; undefined: for none. */
  readonly stoppable: Stoppable | undefined;
  /** An earlier incarnation on this host had it. */
  readonly recovered: boolean;
  /** How it ended; undefined: it runs, or waits for an instance. Set once. */
  outcome: AttemptOutcome | undefined;
  /** When its handler was called, ms since the epoch; 0: not yet. */
  startedAtMs: number;
  /** Empty: it has none yet. */
  instanceId: string;
  /** What its handler last reported, as JSON; empty: nothing. */
  progress: string;
}

export function newAttempt({ seq, attempt, queue, lane }: AttemptRef, flow?: FlowName, stoppable?: Stoppable): Attempt {
  return {
    ref: { seq, attempt, queue, lane },
    flow: flow && { accountId: flow.accountId, functionName: flow.functionName },
    stoppable,
    recovered: false,
    left: undefined,
    isSent: true,
    outcome: undefined,
    startedAtMs: 0,
    instanceId: "",
    progress: "",
  };
}

/** Bytes of an outcome that its holder keeps in memory. */
export function outcomeBytes(outcome: AttemptOutcome | undefined): number {
  return outcome ? outcome.result.length + outcome.errorBody.length + outcome.errorMessage.length : 0;
}
