// The contract of batch control: what is paused, and what is being stopped or deleted by filter. Both are marks on filters, not
// on rows: owners read them every second (`heed`) and apply them to the rows of their own lanes.
import type { AccountId, EpochMs, FunctionName, Lane, OwnedPartition, Priority, Seq, TaskStatus } from "@sluice/core";
import type { Announcement, Stale, TaskSelection } from "./index.ts";

// ------------------------------------------------------------------------------------------------------------- pauses

/** What is paused. */
export type PauseTarget =
  | { readonly kind: "function"; readonly accountId: AccountId; readonly functionName: FunctionName }
  | { readonly kind: "account"; readonly accountId: AccountId }
  | { readonly kind: "queue"; readonly queue: string }
  | { readonly kind: "tasks"; readonly filter: TaskSelection };

export interface NewPause {
  /** Follows from the target, so that a target has one pause. */
  readonly pauseId: string;
  readonly target: PauseTarget;
  readonly reason: string;
  readonly createdBy: AccountId;
}

export interface PauseRecord extends NewPause {
  /** Grows; never used again. Rows that it parked are parked until `pausedUntil(number)`. */
  readonly number: number;
  readonly createdAt: EpochMs;
}

/** The year 10,000, in which nothing else is due. */
const pausesBegin = 253_402_300_800_000;

/** Until when the pause of this number parks rows: beyond all times, and different from that of every other pause. */
export function pausedUntil(number: number): EpochMs {
  return pausesBegin + number;
}

/** The ends of parking that belong to none of these pauses, as open intervals. */
export function endedPauses(active: readonly number[]): { readonly from: EpochMs; readonly until: EpochMs }[] {
  const bounds = [0, ...[...active].sort((a, b) => a - b)].map(pausedUntil);
  return bounds.map((from, index) => ({ from, until: bounds[index + 1] ?? Number.MAX_SAFE_INTEGER }));
}

// --------------------------------------------------------------------------------------------------------- operations

export type OperationKind = "stop" | "delete";

export interface NewOperation {
  readonly operationId: string;
  readonly kind: OperationKind;
  readonly filter: TaskSelection;
  readonly createdBy: AccountId;
}

export interface OperationRecord extends NewOperation {
  /** Grows. */
  readonly number: number;
  /** It is about tasks that were enqueued before. */
  readonly createdAt: EpochMs;
  readonly cancelledAt: EpochMs | undefined;
  readonly finishedAt: EpochMs | undefined;
}

export interface OperationProgress extends OperationRecord {
  /** Tasks that it has found; those it has stopped or deleted; those that ended by themselves before they were stopped. */
  readonly matched: number;
  readonly done: number;
  readonly failed: number;
  readonly lanesDone: number;
  readonly lanesTotal: number;
}

/** An operation that is neither finished nor cancelled. */
export interface OpenOperation {
  readonly operation: OperationRecord;
  /** Where something is left to do, by queue; nothing: `reopen` tells whether it can be finished. */
  readonly openLanes: readonly { readonly queue: string; readonly lanes: readonly Lane[] }[];
}

/** What owners have to heed, each by number. */
export interface Heeded {
  readonly pauses: readonly PauseRecord[];
  readonly operations: readonly OpenOperation[];
}

/** Of all accounts, and of queues. */
export const pausesMax = 10_000;

export interface ControlRecords {
  /**
   * One that holds already stays as it is, and is returned. Undefined: there are `pausesMax` already, of all accounts; no owner
   * would heed more.
   */
  pause(pause: NewPause, options?: { readonly pausesMax: number }): Promise<PauseRecord | undefined>;
  /** False: it did not hold. */
  resume(pauseId: string): Promise<boolean>;
  /** By number, all there are; undefined: of all accounts, and of queues. */
  pauses(accountId: AccountId | undefined): Promise<PauseRecord[]>;
  /**
   * Of all lanes that ever had an owner. The same id again changes nothing, and returns what was started with it; of the
   * account's operations, those that ended a month ago are forgotten.
   */
  start(operation: NewOperation): Promise<OperationProgress>;
  operation(operationId: string): Promise<OperationProgress | undefined>;
  /** Newest first, below number `before`; undefined: of all accounts. */
  operations(
    accountId: AccountId | undefined,
    options: { before: number; limit: number },
  ): Promise<OperationProgress[]>;
  /** Of an account, by number: all that are neither finished nor cancelled. */
  atWork(accountId: AccountId): Promise<OperationRecord[]>;
  /** As it is then; undefined: no such operation. */
  cancel(operationId: string): Promise<OperationProgress | undefined>;
  heed(): Promise<Heeded>;
  /**
   * Looks at the account's (or function's) next `limit` tasks that may be left, oldest first, whether they are or not, and opens
   * the lanes again in which one is: it was moved there, for example, after the lane was done. Nothing is left of an operation
   * once its pages from the first to the last have found nothing.
   */
  reopen(operation: OperationRecord, options: { after: LeftPage["last"]; limit: number }): Promise<LeftPage>;
  /**
   * Finishes an operation of which `reopen` has found nothing left, unless a lane of it is open, or tasks are marked for it:
   * their lanes are open again then. True: it is finished.
   */
  finish(operation: OperationRecord): Promise<boolean>;
}

/** Some tasks that an operation may have left over. */
export interface LeftPage {
  /** Lanes in which one of them is left. */
  readonly left: number;
  /** Continue behind it; undefined: this was the last. */
  readonly last: { readonly enqueuedAt: EpochMs; readonly seq: Seq } | undefined;
}

// ---------------------------------------------------------------------------------------------------------- for owners

/** A task that an operation is about. */
export interface MatchingTask {
  readonly seq: Seq;
  readonly functionName: FunctionName;
  readonly lane: Lane;
  readonly priority: Priority;
  readonly enqueuedAt: EpochMs;
  /** By `mark`, for this operation. */
  readonly isMarked: boolean;
}

export interface MatchingPage {
  readonly tasks: readonly MatchingTask[];
  /** Continue behind it; undefined: this was the last. */
  readonly last: { readonly enqueuedAt: EpochMs; readonly seq: Seq } | undefined;
}

/** What owners do in bulk. Writes note the progress of their lanes in the same transaction. */
export interface BatchRecords {
  /**
   * The next `limit` tasks of the account (or function) with this status, oldest first (`Succeeded` ones among those of all
   * statuses, which is the index they are in): of these, the ones that lie in the
   * owner's lanes and that the operation is about. Reads only, and asks nobody's permission: what follows from it does.
   */
  matching(
    owner: OwnedPartition,
    operation: OperationRecord,
    options: { status: TaskStatus | undefined; after: MatchingPage["last"]; limit: number },
  ): Promise<MatchingPage>;
  /** Settles rows that are not final as `Stopped`; returns which. The caller makes sure that nobody runs them. */
  stop(owner: OwnedPartition, operation: OperationRecord, seqs: readonly Seq[]): Promise<readonly Seq[] | Stale>;
  /** Deletes rows with their logs, whatever their status; returns which. The caller makes sure that nobody runs them. */
  delete(owner: OwnedPartition, operation: OperationRecord, seqs: readonly Seq[]): Promise<readonly Seq[] | Stale>;
  /**
   * Marks rows that are not final to be stopped, and for the operation to wait for; returns which. Rows that another one of the
   * operations numbered `open` waits for are left out.
   */
  mark(
    owner: OwnedPartition,
    operation: OperationRecord,
    seqs: readonly Seq[],
    open: readonly number[],
  ): Promise<readonly Seq[] | Stale>;
  /** Takes marked rows that have ended out of the wait, or deletes them; `left`: marked ones that have not ended yet. */
  collect(
    owner: OwnedPartition,
    operation: OperationRecord,
    limit: number,
  ): Promise<{ readonly collected: readonly Seq[]; readonly left: number } | Stale>;
  /** Notes that nothing is left to do in the owner's lanes. */
  closeLanes(owner: OwnedPartition, operation: OperationRecord): Promise<true | Stale>;
  /** Takes up to `limit` rows out of their parking whose pauses are not among those numbered `active`. */
  resume(owner: OwnedPartition, active: readonly number[], limit: number): Promise<Announcement[] | Stale>;
}
