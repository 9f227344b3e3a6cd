// Everything that the checkers look at, recorded outside of the code under test.
import type { EpochMs, OwnedPartition, Task } from "@sluice/core";
import type { TaskWrite } from "@sluice/store";

/** What a client asked for, and every answer that it saw. */
export interface Submission {
  readonly account: string;
  readonly function: string;
  readonly taskId: string;
  readonly delayMs: number;
  readonly expiresAfterMs: number;
  readonly askedAt: number;
  /** `unknown`: every try failed without an answer. */
  answer: "accepted" | "duplicate" | "rejected" | "unknown";
}

/** A row appeared. */
export interface Inserted {
  readonly kind: "inserted";
  readonly at: number;
  readonly seq: number;
  readonly account: string;
  readonly function: string;
  readonly taskId: string;
  readonly queue: string;
  readonly lane: number;
  /** Wall time of the store; undefined: not parked. */
  readonly dueAt: EpochMs | undefined;
  readonly expiresAt: EpochMs | undefined;
}

/** A floor was raised. */
export interface Raised {
  readonly kind: "raised";
  readonly at: number;
  readonly by: string;
  readonly owner: OwnedPartition;
}

/** A write of an owner reached the store and was not stale. */
export interface Written {
  readonly kind: "written";
  readonly at: number;
  readonly by: string;
  readonly owner: OwnedPartition;
  readonly write: TaskWrite;
  /** Whether its guard held. */
  readonly applied: boolean;
}

export interface Unparked {
  readonly kind: "unparked";
  readonly at: number;
  readonly by: string;
  readonly owner: OwnedPartition;
  readonly seqs: readonly number[];
}

/** An incarnation of an agent was marked dead, or replaced by a later one, or has left. */
export interface Died {
  readonly kind: "died";
  readonly at: number;
  readonly agentId: string;
  readonly incarnation: number;
}

/** In the order in which the store did them. */
export type StoreEvent = Inserted | Raised | Written | Unparked | Died;

/** An agent took an owner, or was given attempts; in the order of one agent's frames. */
export type AgentEvent =
  | {
      readonly kind: "attached";
      readonly at: number;
      readonly agentId: string;
      readonly incarnation: number;
      readonly owner: OwnedPartition;
    }
  | {
      readonly kind: "dispatched";
      readonly at: number;
      readonly agentId: string;
      readonly incarnation: number;
      readonly seq: number;
      readonly attempt: number;
      readonly queue: string;
      readonly lane: number;
      readonly epoch: number;
    };

/** One incarnation of an agent, as a process. */
export interface AgentLife {
  readonly agentId: string;
  readonly incarnation: () => number;
  readonly upAt: number;
  /** When it crashed, or fenced itself; undefined: it lives. */
  downAt: number | undefined;
}

/** A client read a task that was final. */
export interface Observation {
  readonly at: number;
  readonly account: string;
  readonly function: string;
  readonly taskId: string;
  readonly status: string;
  readonly attempt: number;
}

/** One run of a handler. */
export interface Execution {
  readonly seq: number;
  readonly attempt: number;
  /** Of the owner whose dispatch started it. */
  readonly epoch: number;
  readonly agentId: string;
  readonly incarnation: number;
  readonly startedAt: number;
  /** Undefined: it runs. */
  endedAt: number | undefined;
  how: "ok" | "failed" | "stopped" | "killed" | undefined;
}

export function describeExecution(execution: Execution): string {
  const { seq, attempt, epoch, agentId, incarnation } = execution;
  return `task ${seq} attempt ${attempt} epoch ${epoch} on ${agentId}/${incarnation}`;
}

/** What a successful attempt returns: says which attempt of which task it was. */
export function resultOf(seq: number, attempt: number): string {
  return `${seq}#${attempt}`;
}

/**
 * What happened. A source that a tool cannot record is `undefined`; checkers that need it are reported as not run
 * (`checkedBy`). Times (`at`, `startedAt`, …) are ms on one clock that nobody else reads, `wallStart` its epoch.
 */
export interface History {
  readonly submissions: readonly Submission[] | undefined;
  readonly observations: readonly Observation[] | undefined;
  readonly executions: readonly Execution[] | undefined;
  /** Every row, after the end. */
  readonly rows: readonly Task[] | undefined;
  readonly lives: readonly AgentLife[] | undefined;
  readonly store: readonly StoreEvent[] | undefined;
  readonly agents: readonly AgentEvent[] | undefined;
  /** Errors that are bugs: what is not a typed failure, and what nobody caught. */
  readonly bugs: readonly string[];
  /** Wall time of true time 0. */
  readonly wallStart: EpochMs;
}

/** A broken promise, with the facts. */
export interface Violation {
  readonly invariant: string;
  readonly message: string;
  readonly seq?: number;
}

/** Of which nothing was recorded. */
export function emptyHistory(): History {
  return {
    submissions: undefined,
    observations: undefined,
    executions: undefined,
    rows: undefined,
    lives: undefined,
    store: undefined,
    agents: undefined,
    bugs: [],
    wallStart: 0,
  };
}
