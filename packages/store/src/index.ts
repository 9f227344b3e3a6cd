// The contract of the store: the record of every task. `conformance.ts` is its meaning as tests.
//
// Rows belong to the owner of their lane (design: "A row belongs to the owner of its lane"): `TaskRecords` only inserts,
// marks and reads; everything else goes through `LaneRecords`, whose writes carry the owner's epoch and take effect only if
// it equals the floor of the lane, compared after the queue's floor row was locked in the same transaction.
import type {
  AccountId,
  Epoch,
  EpochMs,
  Flow,
  FunctionName,
  Lane,
  OwnedPartition,
  ParkReason,
  Priority,
  Seq,
  Task,
  TaskError,
  TaskEvent,
  TaskId,
  TaskStatus,
} from "@sluice/core";
import type { BatchRecords, ControlRecords } from "./batch.ts";
import type { AccountRecords, AgentRecords, FunctionRecords, LogRecords } from "./registries.ts";

export * from "./batch.ts";
export { eventsKept } from "./events.ts";
export * from "./registries.ts";

export interface Store extends AsyncDisposable {
  readonly tasks: TaskRecords;
  readonly lanes: LaneRecords;
  readonly control: ControlRecords;
  readonly batches: BatchRecords;
  readonly functions: FunctionRecords;
  readonly accounts: AccountRecords;
  readonly agents: AgentRecords;
  readonly logs: LogRecords;
  /** Answers with its time, which is that of the rows; rejects with `STORE_UNAVAILABLE`. */
  ping(): Promise<EpochMs>;
}

// ---------------------------------------------------------------------------------------------- tasks, for api-servers

export interface NewTask {
  readonly accountId: AccountId;
  readonly functionName: FunctionName;
  readonly taskId: TaskId;
  readonly queue: string;
  readonly lane: Lane;
  readonly priority: Priority;
  readonly payload: Uint8Array;
  /** Parks the task with reason `delay` for so long. 0: it is announced at once. */
  readonly delayMs: number;
  /** Expires so long after the end of its delay. 0: never. */
  readonly expiresAfterMs: number;
  /** Empty: none. */
  readonly submissionToken: string;
  readonly tags: readonly string[];
}

export type InsertOutcome =
  /** Announce it, unless it was given a delay. */
  | { readonly kind: "inserted"; readonly seq: Seq; readonly enqueuedAt: EpochMs }
  /** An earlier submission with the same token was accepted. */
  | { readonly kind: "repeated" }
  /** Without payload, result and events. */
  | { readonly kind: "duplicate"; readonly existing: Task };

/** Which tasks of an account are meant; everything that is given must hold. */
export interface TaskSelection {
  readonly accountId: AccountId;
  readonly functionName?: FunctionName;
  readonly status?: TaskStatus;
  /** Inclusive. */
  readonly enqueuedFrom?: EpochMs;
  /** Exclusive. */
  readonly enqueuedUntil?: EpochMs;
  readonly taskIdPrefix?: string;
  readonly priority?: Priority;
  /** One of its tags. */
  readonly tag?: string;
}

export interface TaskFilter extends TaskSelection {
  readonly order: "newest" | "oldest";
  /** Continue behind this task. */
  readonly after?: { readonly enqueuedAt: EpochMs; readonly seq: Seq };
  readonly limit: number;
  readonly includePayload: boolean;
}

export interface AttemptNumber {
  readonly seq: Seq;
  readonly attempt: number;
}

/** What a task is known by to its account. */
export type TaskKey = Flow & { readonly taskId: TaskId };

export interface TaskRecords {
  /**
   * One statement for many submissions; sorts them by key, so that two writers cannot deadlock. Outcomes are in the order
   * of `tasks`; an id that occurs twice in one call is inserted once, the second is a duplicate (or repeated) of the first.
   * Each row's stamp is the floor of its lane.
   */
  insert(tasks: readonly NewTask[]): Promise<InsertOutcome[]>;
  get(key: TaskKey): Promise<Task | undefined>;
  /** Tasks without events; without payload and result unless asked for. */
  list(filter: TaskFilter): Promise<Task[]>;
  /** Marks a task to be stopped unless it is final. Returns the task as it is then; undefined: no such task. */
  requestStop(key: TaskKey): Promise<Task | undefined>;
  /** Of keys those whose tasks exist, final ones too, in the order given. */
  known<Key extends TaskKey>(keys: readonly Key[]): Promise<Key[]>;
  /** Of attempts those whose tasks are final, deleted, or at a later attempt, in the order given. Facts that stay. */
  settled<A extends AttemptNumber>(attempts: readonly A[]): Promise<A[]>;
  /** Tasks of the account that are not final; for admission. Counts at most `limit`. */
  countWaiting(accountId: AccountId, limit: number): Promise<number>;
}

// ---------------------------------------------------------------------------------------------- tasks, for their owners

/** A row as its owner needs it. */
export interface TaskRow extends Flow {
  readonly seq: Seq;
  readonly taskId: TaskId;
  readonly lane: Lane;
  /** `Unknown`: one that a newer release has written. Its owner leaves such a row alone. */
  readonly status: TaskStatus | "Unknown";
  readonly priority: Priority;
  readonly attempt: number;
  readonly retries: number;
  readonly lostAttempts: number;
  /** Below my epoch: an earlier owner may have dispatched it. Equal: nobody did. */
  readonly stamp: Epoch;
  readonly enqueuedAt: EpochMs;
  /** When it was last announced. */
  readonly announcedAt: EpochMs;
  /** Undefined: not parked. */
  readonly dueAt: EpochMs | undefined;
  readonly expiresAt: EpochMs | undefined;
  /** Undefined: not final. */
  readonly endedAt: EpochMs | undefined;
  readonly stopRequested: boolean;
  readonly tags: readonly string[];
  readonly payload: Uint8Array;
}

/** What announcing a row takes: a row that is neither final nor parked. */
export interface Announcement extends Flow {
  readonly seq: Seq;
  readonly lane: Lane;
  readonly priority: Priority;
  readonly enqueuedAt: EpochMs;
}

/** Where a row that is neither final nor parked stands among those of its priority: by announcement, then by number. */
export interface Announced {
  readonly announcedAt: EpochMs;
  readonly seq: Seq;
}

/** A page of numbers in the order of their announcement. */
export interface Swept {
  readonly seqs: readonly Seq[];
  /** Continue behind it; undefined: the page is empty. */
  readonly last: Announced | undefined;
}

/** Rows past their expiry, as far as a look went. */
export interface Expired {
  /** Of the page, those that are past their expiry; and parked ones of any priority. */
  readonly seqs: readonly Seq[];
  /** Continue behind it; undefined: nothing more of this priority waits. */
  readonly last: Announced | undefined;
}

/** What is known of a row that was ended by its number alone. */
export interface EndedRow {
  readonly seq: Seq;
  readonly lane: Lane;
  /** That it would have been. */
  readonly attempt: number;
}

/** Of a task that nobody has started before its expiry. */
export const expiredError: TaskError = {
  type: "Expired",
  message: "not started before its expiry",
  body: "",
};

/** A row that waits, as moving it to another lane takes it. */
export interface MovableRow extends Flow {
  readonly seq: Seq;
  readonly lane: Lane;
  readonly status: "Enqueued" | "Retrying";
  readonly priority: Priority;
  readonly attempt: number;
  readonly retries: number;
  readonly lostAttempts: number;
  readonly stamp: Epoch;
  readonly enqueuedAt: EpochMs;
  readonly announcedAt: EpochMs;
}

export interface MovablePage {
  /** By their enqueueing, then by number. */
  readonly rows: readonly MovableRow[];
  /** Continue behind it; undefined: there was nothing to look at any more. */
  readonly last: { readonly enqueuedAt: EpochMs; readonly seq: Seq } | undefined;
}

/** A flow with rows that are parked with reason `overflow`. */
export interface OverflowFlow extends Flow {
  readonly parked: number;
}

/** A page of rows, urgent ones first, those of a priority in the order of their announcement. */
export interface WaitingPage {
  readonly announcements: readonly Announcement[];
  /** Continue behind it; undefined: the page is empty. */
  readonly last: (Announced & { readonly priority: Priority }) | undefined;
}

interface GuardedWrite {
  readonly seq: Seq;
  /** Takes effect only on this attempt, on a row that is not final and lies in this lane. */
  readonly attempt: number;
  readonly lane: Lane;
}

/** The end of a task. */
export interface SettleWrite extends GuardedWrite {
  readonly kind: "settle";
  readonly status: "Succeeded" | "Failed" | "Stopped" | "Expired" | "Invalid";
  readonly result: Uint8Array;
  readonly error: TaskError | undefined;
  /** Of the attempt; undefined: it never started. */
  readonly startedAt: EpochMs | undefined;
  readonly agentId: string | undefined;
  readonly instanceId: string | undefined;
  /** Appended to the row's events, of which the first and the last ones stay: `eventsKept`. */
  readonly events: readonly TaskEvent[];
}

/** Takes a task out of the queue until `dueAt`. Refused if the row is parked already. */
export interface ParkWrite extends GuardedWrite {
  readonly kind: "park";
  readonly status: "Enqueued" | "Retrying";
  readonly dueAt: EpochMs;
  readonly reason: ParkReason;
  /** The same attempt, or the next one. Never lower. */
  readonly nextAttempt: number;
  /**
   * As the row was read: refused if it has been announced again since. Whoever keeps the attempt gives it. The attempt guards
   * nothing then: a call that comes late, when its repetition has parked the row and that was taken out again, would park what runs.
   */
  readonly announcedAt?: EpochMs | undefined;
  readonly retries: number;
  readonly lostAttempts: number;
  readonly error: TaskError | undefined;
  readonly events: readonly TaskEvent[];
  /**
   * Gives the row to the owner of another lane in the same write; that one takes it out of its parking. Not refused if the row
   * is parked with reason `overflow`.
   */
  readonly moveTo?: { readonly queue: string; readonly lane: Lane } | undefined;
}

/** Tells readers that an attempt runs; decides nothing. */
export interface RunningWrite extends GuardedWrite {
  readonly kind: "running";
  readonly startedAt: EpochMs;
  readonly agentId: string;
  readonly instanceId: string;
  /** JSON text; undefined: unchanged. */
  readonly progress: string | undefined;
}

export type TaskWrite = SettleWrite | ParkWrite | RunningWrite;

/** The owner's epoch does not equal the floor of every lane it touches: it owns them no longer and must step down. */
export type Stale = "stale";

export interface LaneRecords {
  /** The floors of a queue: 32 epochs, 0 where nobody ever was. */
  floors(queue: string): Promise<readonly Epoch[]>;
  /** Of every queue that has a floor row. */
  allFloors(): Promise<ReadonlyMap<string, readonly Epoch[]>>;
  /**
   * Raises the floor of every lane of the partition to its epoch. False, and nothing is changed, unless every one is lower:
   * after etcd was wiped two claimants may come with the same epoch, and only one may win. A caller that does not learn the
   * outcome takes over again, with a higher epoch.
   */
  raiseFloor(owner: OwnedPartition): Promise<boolean>;
  /**
   * Rows by number, in any order; missing ones, and those of other queues, are left out. Also final and parked ones, and those
   * of other lanes of the queue.
   */
  read(owner: OwnedPartition, seqs: readonly Seq[]): Promise<TaskRow[] | Stale>;
  /** One transaction; one boolean per write: whether its guard held. */
  write(owner: OwnedPartition, writes: readonly TaskWrite[]): Promise<boolean[] | Stale>;
  /**
   * Takes up to `limit` rows whose `dueAt` has come out of their parking, the most urgent first, and gives them the floor as
   * their stamp. Rows in `except` (held ones) stay.
   */
  unpark(owner: OwnedPartition, limit: number, except: readonly Seq[]): Promise<Announcement[] | Stale>;
  /**
   * In how many ms, by the store's clock, the next parked row of the partition is due, if that is within `withinMs`; else
   * undefined. Not above 0: something is due now. Reads only.
   */
  dueIn(owner: OwnedPartition, withinMs: number): Promise<number | undefined>;
  /**
   * Parks rows with reason `overflow`, for `dueInMs` or as long as they are old, whichever is longer; status and attempt stay.
   * Returns those that it parked: not those that are final, parked, running, or in other lanes, nor those that were announced
   * after `announcedUntil`: a call that comes late must not park what has been taken out again since.
   */
  parkOverflow(
    owner: OwnedPartition,
    seqs: readonly Seq[],
    options: { dueInMs: number; announcedUntil: EpochMs },
  ): Promise<readonly Seq[] | Stale>;
  /** Takes up to `limit` overflown rows of a flow out of their parking, due or not, by urgency, as `unpark` does. */
  unparkOverflow(owner: OwnedPartition, flow: Flow, limit: number): Promise<Announcement[] | Stale>;
  /**
   * Up to `limit` flows that have overflown rows in these lanes, and how many: at most `countMax` of each are counted. With 1 it
   * costs a step for each flow, however much of it is parked. Reads only.
   */
  overflowFlows(owner: OwnedPartition, options: { limit: number; countMax: number }): Promise<OverflowFlow[] | Stale>;
  /**
   * Looks at up to `limit` rows of one priority that are neither final nor parked, in the order of their announcement, behind
   * `after`, for those that are past their expiry; and for up to `limit` parked ones of any priority. Reads only.
   */
  expired(
    owner: OwnedPartition,
    options: { priority: Priority; after: Announced; limit: number },
  ): Promise<Expired | Stale>;
  /**
   * Ends rows as `Expired` that are past their expiry and have not started; returns them. Left out are those that are marked to
   * be stopped, and those that are not parked and have a stamp below `stampMin`: an earlier owner may have dispatched them.
   */
  expire(owner: OwnedPartition, seqs: readonly Seq[], options: { stampMin: Epoch }): Promise<EndedRow[] | Stale>;
  /**
   * Rows of one priority that are neither final nor parked and were announced before `announcedBefore`, in the order of
   * their announcement, behind `after`. Reads only.
   */
  sweep(
    owner: OwnedPartition,
    options: { priority: Priority; announcedBefore: EpochMs; after: Announced; limit: number },
  ): Promise<Swept | Stale>;
  /**
   * Notes that rows are announced again, and returns what that takes; those that are final or parked by now are left out.
   * Their stamps stay.
   */
  touch(owner: OwnedPartition, seqs: readonly Seq[]): Promise<Announcement[] | Stale>;
  /** Rows that are not final and marked to be stopped, or past their expiry while parked. */
  marked(owner: OwnedPartition, limit: number): Promise<TaskRow[] | Stale>;
  /** Rows neither final nor parked, for rebuilding an embedded queue at start; behind `after`, undefined: from the first. */
  waiting(queue: string, options: { after: WaitingPage["last"]; limit: number }): Promise<WaitingPage>;
  /**
   * Rows of a flow in this status that wait in these lanes, neither parked nor marked to be stopped, or parked because they
   * were too many; behind `after`. Looks at up to `limit` rows of the account. Reads only.
   */
  movable(
    owner: OwnedPartition,
    options: {
      readonly flow: Flow;
      readonly status: MovableRow["status"];
      readonly after: NonNullable<MovablePage["last"]>;
      readonly limit: number;
    },
  ): Promise<MovablePage | Stale>;
  /**
   * Queues that have rows that are not final, or lanes that an operation has not done, by name; also such that nobody ever owned.
   * Reads only.
   */
  queuesInUse(): Promise<string[]>;
  /** Deletes up to `limit` final rows (with logs) that ended before; returns how many. */
  purge(owner: OwnedPartition, options: { endedBefore: EpochMs; limit: number }): Promise<number | Stale>;
}
