// Group commit: the submissions of all callers share inserts.
//
//   idle ──record──▶ committing (1..groupsInFlightMax inserts) ──last answer, nothing pending──▶ idle
//
// A free place in flight takes at once whatever is pending, so an idle server adds no delay, and a busy one makes larger
// groups by itself. Requests take turns of `turnTasks`, so that a batch of 10,000 does not hold up a single submission.
import { assert, type Clock, type Lane, laneCount } from "@sluice/core";
import type { InsertOutcome, NewTask, Store } from "@sluice/store";
import type { ApiServerMetrics } from "../metrics.ts";
import type { Draft } from "./parse-submission.ts";

/** A draft as it was inserted, with its outcome. */
export interface Recorded {
  readonly task: NewTask;
  readonly outcome: InsertOutcome;
}

export interface Recorder {
  /**
   * Inserts the drafts; the answers are in their order. Rejects when the outcome of some is not known: they may have been
   * inserted. Each group's outcomes go to `onRecorded` first.
   */
  record(drafts: readonly Draft[]): Promise<readonly Recorded[]>;
  /** Resolves when nothing is pending or in flight. */
  idle(): Promise<void>;
}

export interface RecorderOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly metrics: ApiServerMetrics;
  readonly groupTasksMax: number;
  readonly groupBytesMax: number;
  readonly groupsInFlightMax: number;
  /** The first lane; differs between api-servers, so that they do not follow each other. */
  readonly firstLane: Lane;
  /** Called once for each commit with what it inserted, after the callers' promises were settled. */
  readonly onRecorded: (group: readonly Recorded[]) => void;
}

interface Request {
  readonly drafts: readonly Draft[];
  /** Drafts before this one were taken into a group. */
  taken: number;
  readonly recorded: Recorded[];
  unanswered: number;
  readonly resolve: (recorded: readonly Recorded[]) => void;
  readonly reject: (cause: unknown) => void;
}

interface Slot {
  readonly request: Request;
  readonly index: number;
  readonly draft: Draft;
}

/** As many as one block holds, so that a large batch still makes full blocks. */
const turnTasks = 256;

export function createRecorder(options: RecorderOptions): Recorder {
  const { store, clock, metrics } = options;
  let pending: Request[] = [];
  let pendingTasks = 0;
  let inFlight = 0;
  let nextLane = options.firstLane;
  let isScheduled = false;
  const idleWaiters: (() => void)[] = [];

  function schedule(): void {
    if (isScheduled) return;
    isScheduled = true;
    // Calls that arrived in the same turn of the event loop share the first group.
    queueMicrotask(() => {
      isScheduled = false;
      while (pending.length > 0 && inFlight < options.groupsInFlightMax) void commit(takeGroup());
      if (pending.length === 0 && inFlight === 0) {
        for (const done of idleWaiters.splice(0)) done();
      }
    });
  }

  function takeGroup(): Slot[] {
    const slots: Slot[] = [];
    let bytes = 0;
    while (slots.length < options.groupTasksMax && bytes < options.groupBytesMax) {
      const request = pending.shift();
      if (request === undefined) break;
      const until = Math.min(request.drafts.length, request.taken + turnTasks);
      while (request.taken < until && slots.length < options.groupTasksMax && bytes < options.groupBytesMax) {
        const draft = request.drafts[request.taken] as Draft;
        slots.push({ request, index: request.taken, draft });
        bytes += draft.payload.length;
        request.taken += 1;
      }
      if (request.taken < request.drafts.length) pending.push(request);
    }
    pendingTasks -= slots.length;
    metrics.pendingTasks.set(pendingTasks);
    return slots;
  }

  async function commit(slots: readonly Slot[]): Promise<void> {
    inFlight += 1;
    const lane = nextLane;
    nextLane = (nextLane + 1) % laneCount;
    const tasks = slots.map(({ draft }): NewTask => ({ ...draft, lane: draft.lane ?? lane }));
    const startedAt = clock.monotonic();
    try {
      const outcomes = await store.tasks.insert(tasks);
      assert(outcomes.length === tasks.length, "an insert answers every task");
      const group = tasks.map((task, index): Recorded => ({ task, outcome: outcomes[index] as InsertOutcome }));
      answer(slots, group);
      options.onRecorded(group);
    } catch (cause) {
      fail(slots, cause);
    } finally {
      inFlight -= 1;
      metrics.groupTasks.observe(tasks.length);
      metrics.groupSeconds.observe((clock.monotonic() - startedAt) / 1_000);
      schedule();
    }
  }

  function answer(slots: readonly Slot[], group: readonly Recorded[]): void {
    slots.forEach(({ request, index }, at) => {
      request.recorded[index] = group[at] as Recorded;
      request.unanswered -= 1;
      if (request.unanswered === 0) request.resolve(request.recorded);
    });
  }

  /** The rest of a request that failed is not tried: its caller repeats the whole of it with the same tokens. */
  function fail(slots: readonly Slot[], cause: unknown): void {
    const failed = new Set(slots.map(({ request }) => request));
    for (const request of failed) {
      pendingTasks -= request.drafts.length - request.taken;
      request.taken = request.drafts.length;
      request.reject(cause);
    }
    pending = pending.filter((request) => !failed.has(request));
    metrics.pendingTasks.set(pendingTasks);
  }

  return {
    record(drafts) {
      if (drafts.length === 0) return Promise.resolve([]);
      return new Promise((resolve, reject) => {
        const recorded = new Array<Recorded>(drafts.length);
        pending.push({ drafts, taken: 0, recorded, unanswered: drafts.length, resolve, reject });
        pendingTasks += drafts.length;
        metrics.pendingTasks.set(pendingTasks);
        schedule();
      });
    },
    idle() {
      return new Promise((resolve) => {
        idleWaiters.push(resolve);
        schedule();
      });
    },
  };
}
