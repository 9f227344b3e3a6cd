// Loop: works off operations that stop or delete many tasks, in the lanes of this partition.
//
//   pass: page after page of what matches ──▶ who waits or is parked ends in bulk, unread
//    ▲    │                               └─▶ who is being worked on is marked, and stopped as any other task
//    │    ├── something was found ──▶ another pass
//    │    └── nothing was found ──▶ wait for the marked ones to end ──▶ none is left ──▶ the lanes are done
//    └── nobody knows where an owner before this one stopped: what it did is not found any more
//
// Operations take turns, page by page: one that deletes a million tasks does not hold up another account's that stops ten.
//
// A row that moves, or changes its status behind the pass, may slip through. The leader, who finishes the operation when all lanes
// are done, looks at every row once more, wherever it lies then, and opens the lanes where something is left.
import { type Loop, lanesOf, type Seq, type TaskStatus } from "@sluice/core";
import { changedTopic, controlTopic } from "@sluice/queue";
import type { MatchingPage, MatchingTask, OpenOperation, OperationRecord, Stale } from "@sluice/store";
import { restoreAll, untilKnown } from "./bulk.ts";
import type { PartitionContext } from "./context.ts";
import { every } from "./every.ts";
import { ackFinished } from "./pull.ts";
import { dropFinished } from "./turn.ts";

/** Rows that are looked at, and written, in one statement: up to 150 ms, for which it holds the floor. */
const pageMax = 5_000;
const collectMax = 1_000;
/** Numbers in one hint. */
const hintMax = 1_000;
/** After so many numbers that will have no turn any more, they are taken out of the order. */
const dropAt = 50_000;

const openStatuses: readonly TaskStatus[] = ["Enqueued", "Retrying", "Running", "Stopping"];

export function operationsLoop(context: PartitionContext): Loop {
  const { batchControl, owner, memory, store } = context;
  /** Operations of which only marked rows are left. */
  const waiting = new Set<number>();
  /** Operations whose lanes were closed here, and what was known then. */
  const closed = new Map<number, number>();
  let dropped = 0;

  const loop = every(
    context,
    "work off an operation",
    (signal) => context.wakeOperations.wait(signal, context.config.marksEveryMs),
    async (signal) => {
      forgetEnded();
      // Rows of earlier owners may be running where nobody has answered from.
      if (context.unanswered.size > 0) return undefined;
      if ((await takeTurns(signal)) === "stale") return "stale";
      if (dropped > 0) dropFinished(context);
      dropped = 0;
      return undefined;
    },
  );

  /** Until all have come to an end for now. Those that come meanwhile join, and so do those whose marked rows may have ended. */
  async function takeTurns(signal: AbortSignal): Promise<Stale | undefined> {
    const { clock, config } = context;
    /** By number: not before, monotonic. */
    const nextAt = new Map<number, number>();
    const turns: { readonly number: number; readonly work: Turns<Stale | undefined> }[] = [];
    for (;;) {
      for (const open of batchControl.operations) {
        const { number } = open.operation;
        if (clock.monotonic() < (nextAt.get(number) ?? 0)) continue;
        if (!concerns(open) || closed.get(number) === batchControl.version) continue;
        nextAt.set(number, Number.POSITIVE_INFINITY);
        turns.push({ number, work: workOff(open.operation, signal) });
      }
      const turn = turns.shift();
      if (!turn) return undefined;
      const { done, value } = await turn.work.next();
      if (value === "stale") return value;
      if (done) nextAt.set(turn.number, clock.monotonic() + config.marksEveryMs);
      else turns.push(turn);
    }
  }

  function forgetEnded(): void {
    for (const numbers of [waiting, closed]) {
      for (const number of [...numbers.keys()]) if (!isOpen(number)) numbers.delete(number);
    }
  }

  function isOpen(number: number): boolean {
    return batchControl.operations.some(({ operation }) => operation.number === number);
  }

  function concerns({ openLanes }: OpenOperation): boolean {
    const { from, until } = lanesOf(owner.prefix);
    return openLanes.some(
      ({ queue, lanes }) => queue === owner.queue && lanes.some((lane) => lane >= from && lane < until),
    );
  }

  /** Until a pass finds nothing to do, or the operation, or this partition, ends. */
  async function* workOff(operation: OperationRecord, signal: AbortSignal): Turns<Stale | undefined> {
    const { number } = operation;
    let left = await collect(operation);
    if (left === "stale") return left;
    if (waiting.has(number) && left > 0) return undefined;
    // What was marked has ended: something may have come behind the passes before.
    waiting.delete(number);
    let passed: Passed;
    do {
      const answer = yield* pass(operation, signal);
      if (answer === "stale") return answer;
      passed = answer;
    } while (passed.done > 0 && !hasEnded(operation, signal));
    left = await collect(operation);
    if (left === "stale") return left;
    if (passed.found > 0 || hasEnded(operation, signal)) return undefined;
    if (left > 0) {
      waiting.add(number);
      return undefined;
    }
    if ((await store.batches.closeLanes(owner, operation)) === "stale") return "stale";
    closed.set(number, batchControl.version);
    context.signals.send(controlTopic, "");
    return undefined;
  }

  function hasEnded({ number }: OperationRecord, signal: AbortSignal): boolean {
    return signal.aborted || context.draining || context.unanswered.size > 0 || !isOpen(number);
  }

  async function* pass(operation: OperationRecord, signal: AbortSignal): Turns<Passed | Stale> {
    const passed = { found: 0, done: 0 };
    for (const status of statusesOf(operation)) {
      let after: MatchingPage["last"];
      do {
        if (hasEnded(operation, signal)) return passed;
        const page = await store.batches.matching(owner, operation, { status, after, limit: pageMax });
        const fresh = page.tasks.filter(({ isMarked }) => !isMarked);
        passed.found += fresh.length;
        if (hasEnded(operation, signal)) return passed;
        const done = fresh.length > 0 ? await act(operation, fresh, signal) : 0;
        if (done === "stale") return done;
        passed.done += done ?? 0;
        after = page.last;
        yield;
      } while (after);
    }
    return passed;
  }

  /** Returns how many have ended, or were marked; undefined: the partition has ended. */
  async function act(
    operation: OperationRecord,
    tasks: readonly MatchingTask[],
    signal: AbortSignal,
  ): Promise<number | Stale | undefined> {
    const free = tasks.filter(({ seq }) => !context.suspects.has(seq)).map(({ seq }) => seq);
    const aside = memory.setAside(free);
    const ended = aside.length > 0 ? await endAll(operation, aside, signal) : 0;
    if (ended === undefined || ended === "stale" || aside.length === tasks.length) return ended;
    const isAside = new Set(aside);
    const busy = tasks.map(({ seq }) => seq).filter((seq) => !isAside.has(seq));
    const numbers = batchControl.operations.map((open) => open.operation.number);
    const marked = await store.batches.mark(owner, operation, busy, numbers);
    if (marked === "stale") return marked;
    context.metrics.batches.inc({ did: "marked" }, marked.length);
    if (marked.length > 0) context.wakeMarks.notify();
    return ended + marked.length;
  }

  /** In one write; nobody else decides about them meanwhile. Returns how many. */
  async function endAll(
    operation: OperationRecord,
    seqs: readonly Seq[],
    signal: AbortSignal,
  ): Promise<number | Stale | undefined> {
    const { batches } = store;
    const write = operation.kind === "stop" ? batches.stop : batches.delete;
    const ended = await untilKnown(context, signal, () => write(owner, operation, seqs));
    if (ended === undefined || ended === "stale") return ended;
    const left = new Set(seqs);
    for (const seq of ended) {
      left.delete(seq);
      memory.forget(seq);
    }
    // An earlier try has ended them, or somebody else: their rows are read at their turn.
    restoreAll(context, left);
    noteEnded(operation, ended);
    return ended.length;
  }

  function noteEnded({ kind }: OperationRecord, seqs: readonly Seq[]): void {
    if (kind === "stop") context.metrics.settled.inc({ status: "Stopped" }, seqs.length);
    context.metrics.batches.inc({ did: kind === "stop" ? "stopped" : "deleted" }, seqs.length);
    ackFinished(context);
    for (let start = 0; start < seqs.length; start += hintMax) {
      context.signals.send(changedTopic, seqs.slice(start, start + hintMax).join(","));
    }
    dropped += seqs.length;
    if (dropped < dropAt) return;
    dropFinished(context);
    dropped = 0;
  }

  /** Returns how many marked rows have not ended. */
  async function collect(operation: OperationRecord): Promise<number | Stale> {
    for (;;) {
      const answer = await store.batches.collect(owner, operation, collectMax);
      if (answer === "stale") return answer;
      const { collected, left } = answer;
      if (operation.kind === "delete") context.metrics.batches.inc({ did: "deleted" }, collected.length);
      if (collected.length < collectMax) return left;
    }
  }

  return async (signal) => {
    const stop = batchControl.watch(() => context.wakeOperations.notify());
    try {
      await loop(signal);
    } finally {
      stop();
    }
  };
}

/** Goes on page by page, whenever it is asked to. */
type Turns<Result> = AsyncGenerator<undefined, Result>;

interface Passed {
  /** Those about which nothing was done before. */
  readonly found: number;
  /** Those about which something was done now. */
  readonly done: number;
}

/** One index range after the other; undefined: whatever it is. */
function statusesOf({ kind, filter: { status } }: OperationRecord): readonly (TaskStatus | undefined)[] {
  return kind === "stop" && status === undefined ? openStatuses : [status];
}
