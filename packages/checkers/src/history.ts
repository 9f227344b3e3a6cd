// Everything that the checkers look at, recorded outside of the code under test.
import type { Epoch, EpochMs, OwnedPartition, Priority, Task } from "@sluice/core";
import type { PauseTarget, TaskWrite } from "@sluice/store";

/** What a client asked for, and every answer that it saw. */
export interface Submission {
  readonly account: string;
  readonly function: string;
  readonly taskId: string;
  /** Says which submissions are one and the same; empty: none. */
  readonly token: string;
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
  readonly priority: Priority;
  /** Wall time of the store, as the next ones. */
  readonly enqueuedAt: EpochMs;
  /** Undefined: not parked. */
  readonly dueAt: EpochMs | undefined;
  readonly expiresAt: EpochMs | undefined;
  readonly tags: readonly string[];
}

/** Somebody read the floors of a queue. */
export interface FloorsRead {
  readonly kind: "floors read";
  readonly at: number;
  readonly by: string;
  readonly queue: string;
  /** One per lane. */
  readonly floors: readonly Epoch[];
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

/** An operation stopped or deleted rows, as an owner's write. */
export interface Batch {
  readonly kind: "batch";
  readonly at: number;
  readonly by: string;
  readonly owner: OwnedPartition;
  readonly operationId: string;
  readonly did: "stopped" | "deleted";
  readonly seqs: readonly number[];
}

/** What did not fit into an owner's memory was parked. */
export interface Overflown {
  readonly kind: "overflown";
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

/** The row of an incarnation of an agent was committed; again when its registration is repeated. */
export interface Registered {
  readonly kind: "registered";
  readonly at: number;
  readonly agentId: string;
  readonly incarnation: number;
}

/** In the order in which the store did them. */
export type StoreEvent = Inserted | FloorsRead | Raised | Written | Unparked | Overflown | Batch | Registered | Died;

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
    }
  | {
      /** An owner wanted room for a task that is urgent: the agent may stop another one for it. */
      readonly kind: "asked for room";
      readonly at: number;
      readonly agentId: string;
      readonly incarnation: number;
      /** Of that task. */
      readonly priority: Priority;
    };

/** One incarnation of an agent, as a process. */
export interface AgentLife {
  readonly agentId: string;
  readonly incarnation: () => number;
  readonly upAt: number;
  /** When it was asked to stop; undefined: never, or that is not recorded. */
  stoppedAt?: number | undefined;
  /** When it crashed, or fenced itself, at the earliest; undefined: it lives. */
  downAt: number | undefined;
  /** The same at the latest, where that is seen with a delay; default: `downAt`. */
  seenDownAt?: number | undefined;
}

/** Before a client asked that tasks be stopped, or deleted, which stops them first. What is undefined selects nothing. */
export interface StopAsked {
  readonly at: number;
  readonly account: string;
  readonly function?: string | undefined;
  readonly taskId?: string | undefined;
  readonly taskIdPrefix?: string | undefined;
  readonly tag?: string | undefined;
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

/** A client was shown a task, in whatever way. */
export interface View {
  readonly at: number;
  /** Whose credential it used. */
  readonly account: string;
  /** Such as `get` or `list`. */
  readonly by: string;
  readonly function: string;
  readonly taskId: string;
  /** Who had submitted it, as what it carries says. */
  readonly owner: string;
}

/** A key that made its holder the owner of a partition, as the coordinator had it. */
export interface ClaimHeld {
  readonly queue: string;
  readonly prefix: string;
  /** As `by` in the events of the store. */
  readonly ownerId: string;
  readonly revision: number;
  readonly from: number;
  /** Undefined: it stands. */
  until: number | undefined;
}

/** What a function allows; unchanged during the run. */
export interface FunctionFacts {
  readonly account: string;
  readonly function: string;
  readonly maxAsyncRetryAttempts: number;
}

/** A limit of a function, or of an account as a whole, from a moment on. */
export interface LimitSet {
  /** When it was in the store. */
  readonly at: number;
  readonly account: string;
  /** Undefined: of all functions of the account. */
  readonly function: string | undefined;
  /** Attempts at the same time; 0: no limit. */
  readonly concurrencyMax: number;
  /** Attempts that start per second; 0: no limit. */
  readonly rateMax: number;
  /** Attempts that may start at once. */
  readonly rateBurst: number;
  /** What is kept free for a function while its account is limited. Default: nothing. */
  readonly concurrencyReserved?: number;
}

/** Something was paused, as the store had it. */
export interface PauseHeld {
  readonly pauseId: string;
  readonly target: PauseTarget;
  readonly from: number;
  /** Undefined: it holds. */
  until: number | undefined;
}

/** An owner sent an attempt to an agent. */
export interface Sent {
  readonly at: number;
  readonly seq: number;
  readonly attempt: number;
}

/** What was there after everything had finished, and had had the time to go. */
export interface Rest {
  readonly at: number;
  /** Schedulers and agents that live. */
  readonly alive: readonly string[];
  readonly found: readonly Leftover[];
}

export interface Leftover {
  readonly kind: LeftoverKind;
  /** Which one, for people. */
  readonly what: string;
  /** Scheduler or agent whose it is; undefined: nobody's. */
  readonly holder: string | undefined;
}

/** The first ones must be gone; the others stay as long as their holder lives. */
export type LeftoverKind =
  | "instance"
  | "unconfirmed attempt"
  | "task in memory"
  | "block"
  | "timer"
  | "consumer"
  | "claim"
  | "member"
  | "agent"
  | "leader"
  | "load";

/** Nothing was made to fail, and what had failed before is repaired. */
export interface CalmPhase {
  readonly from: number;
  readonly until: number;
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
  /** `throttled`: it asked for less. */
  how: "ok" | "failed" | "throttled" | "stopped" | "killed" | undefined;
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
  /** Every one, whether it was answered or not. */
  readonly stops: readonly StopAsked[] | undefined;
  readonly executions: readonly Execution[] | undefined;
  /** Every row, after the end. */
  readonly rows: readonly Task[] | undefined;
  readonly lives: readonly AgentLife[] | undefined;
  readonly store: readonly StoreEvent[] | undefined;
  readonly agents: readonly AgentEvent[] | undefined;
  readonly views: readonly View[] | undefined;
  readonly claims: readonly ClaimHeld[] | undefined;
  readonly functions: readonly FunctionFacts[] | undefined;
  /** Each from when it was in force: those with which a function was created, too. */
  readonly limits: readonly LimitSet[] | undefined;
  readonly sends: readonly Sent[] | undefined;
  readonly pauses: readonly PauseHeld[] | undefined;
  readonly rest: Rest | undefined;
  readonly calm: readonly CalmPhase[] | undefined;
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
    stops: undefined,
    executions: undefined,
    rows: undefined,
    lives: undefined,
    store: undefined,
    agents: undefined,
    views: undefined,
    claims: undefined,
    functions: undefined,
    limits: undefined,
    sends: undefined,
    pauses: undefined,
    rest: undefined,
    calm: undefined,
    bugs: [],
    wallStart: 0,
  };
}
