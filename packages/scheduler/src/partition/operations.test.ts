import { AccountId, FunctionName, type OwnedPartition, type Seq, type TaskStatus } from "@sluice/core";
import { aFlow, eventually } from "@sluice/core/testing";
import { changedTopic } from "@sluice/queue";
import { createMemorySignals } from "@sluice/queue/memory";
import type { BatchRecords, MatchingTask, OpenOperation, OperationRecord } from "@sluice/store";
import { expect, onTestFinished, test } from "vitest";
import type { PartitionContext } from "./context.ts";
import { operationsLoop } from "./operations.ts";
import { nothingPaused, startDispatching } from "./testing.ts";

const accountId = AccountId("main");
const functionName = FunctionName("echo");
const operation: OperationRecord = {
  ...{ operationId: "op", number: 1, kind: "delete", filter: { accountId }, createdBy: accountId, createdAt: 100 },
  ...{ cancelledAt: undefined, finishedAt: undefined },
};
const everywhere = [{ queue: "q0", lanes: [0] }];

interface Options {
  readonly kind?: "stop" | "delete";
  readonly unanswered?: readonly string[];
}

/** Rows of an operation, and a partition that works it off. */
function startWork({ kind = "delete", unanswered = [] }: Options = {}) {
  const harness = startDispatching({ instancesMax: 0, unanswered });
  const { clock, context } = harness;
  const rows = new Map<Seq, TaskStatus>();
  const marked = new Set<Seq>();
  const calls: string[] = [];
  const hints: string[] = [];
  let open: OpenOperation[] = [{ operation: { ...operation, kind }, openLanes: everywhere }];
  let failures = 0;
  const end = (name: string) => async (_owner: OwnedPartition, _operation: OperationRecord, seqs: readonly Seq[]) => {
    calls.push(`${name} ${seqs.join(" ")}`);
    const ended = seqs.filter((seq) => rows.delete(seq));
    if (failures-- > 0) throw new Error("the answer was lost");
    return ended;
  };
  const batches: Partial<BatchRecords> = {
    async matching(_owner, _operation, { status }) {
      const found = [...rows].filter(([, each]) => status === undefined || each === status);
      const tasks = found.map(([seq]): MatchingTask => {
        return { seq, functionName, lane: 0, priority: 2, enqueuedAt: seq, isMarked: marked.has(seq) };
      });
      return { tasks, last: undefined };
    },
    stop: end("stop"),
    delete: end("delete"),
    async mark(_owner, _operation, seqs) {
      calls.push(`mark ${seqs.join(" ")}`);
      for (const seq of seqs) marked.add(seq);
      return seqs;
    },
    async collect() {
      const collected = [...marked].filter((seq) => !rows.has(seq));
      for (const seq of collected) marked.delete(seq);
      return { collected, left: marked.size };
    },
    async closeLanes() {
      calls.push("close");
      open = [];
      return true;
    },
  };
  const signals = createMemorySignals();
  signals.listen(changedTopic, (seqs) => hints.push(seqs));
  const own = {
    ...{ signals, consumers: [] },
    store: { ...context.store, batches },
    batchControl: {
      ...nothingPaused,
      get operations() {
        return open;
      },
    },
  } as unknown as Partial<PartitionContext>;
  const working = Object.assign(context, own);
  const stop = new AbortController();
  const done = operationsLoop(working)(stop.signal);
  onTestFinished(async () => {
    stop.abort();
    await done;
  });
  return {
    ...{ ...harness, clock, rows, calls, hints, batches },
    /** One more operation. */
    begin(number: number) {
      open = [...open, { operation: { ...operation, kind, number }, openLanes: everywhere }];
    },
    fail: (count: number) => {
      failures = count;
    },
  };
}

test("who waits ends in bulk and leaves memory; the lanes are closed when nothing is found any more", async () => {
  const { clock, context, deliver, rows, calls, hints } = startWork();
  deliver(3);
  for (const seq of [1, 2, 3, 77]) rows.set(seq, "Enqueued");
  await clock.advance(1_000);
  expect(calls).toEqual(["delete 1 2 3 77", "close"]);
  expect(context.memory.size).toBe(0);
  expect(hints).toEqual(["1,2,3,77"]);
  await clock.advance(10_000);
  expect(calls).toHaveLength(2);
});

test("who is being worked on is marked, and waited for", async () => {
  const { clock, context, deliver, rows, calls } = startWork({ kind: "stop" });
  deliver(2);
  const flow = { ...aFlow(), lane: 0, priority: 2, enqueuedAt: 1 } as const;
  context.memory.activate(1, { origin: flow, flowKey: "main/echo" });
  rows.set(1, "Enqueued");
  rows.set(2, "Enqueued");
  await clock.advance(5_000);
  expect(calls).toEqual(["stop 2", "mark 1"]);
  rows.delete(1);
  await clock.advance(2_000);
  expect(calls).toEqual(["stop 2", "mark 1", "close"]);
});

test("nobody acts on rows while it is not known what became of them", async () => {
  const { clock, context, deliver, rows, calls, fail } = startWork();
  deliver(2);
  rows.set(1, "Enqueued");
  fail(1);
  await clock.advance(150);
  // The first try took effect, but nobody knows.
  expect(context.memory.active(1)?.state).toBe("leaving");
  await eventually(async () => {
    await clock.advance(100);
    return calls.includes("close");
  });
  expect(calls.slice(0, 2)).toEqual(["delete 1", "delete 1"]);
  expect(context.memory.active(1)).toBeUndefined();
  expect(context.memory.has(1)).toBe(true);
});

test("nothing is done while an agent that may run rows of earlier owners has not answered", async () => {
  const { clock, context, rows, calls } = startWork({ unanswered: ["gone"] });
  rows.set(1, "Enqueued");
  await clock.advance(5_000);
  expect(calls).toEqual([]);
  context.unanswered.clear();
  await clock.advance(2_000);
  expect(calls).toEqual(["delete 1", "close"]);
});

test("an operation whose marked rows have ended is done although a large one is still at work", async () => {
  const { clock, context, deliver, rows, calls, batches, begin } = startWork({ kind: "stop" });
  deliver(1);
  context.memory.activate(1, { origin: { ...aFlow(), lane: 0, priority: 2, enqueuedAt: 1 }, flowKey: "main/echo" });
  rows.set(1, "Enqueued");
  const { matching } = batches;
  batches.matching = async (owner, each, options) => {
    if (each.number === 1) return (await matching?.(owner, each, options)) ?? { tasks: [], last: undefined };
    await clock.sleep(100);
    // A million that others have.
    return { tasks: [], last: { enqueuedAt: 1, seq: (options.after?.seq ?? 0) + 1 } };
  };
  begin(2);
  await clock.advance(2_000);
  expect(calls).toEqual(["mark 1"]);
  rows.delete(1);
  await clock.advance(2_000);
  expect(calls).toEqual(["mark 1", "close"]);
  Object.assign(context, { draining: true });
  await clock.advance(200);
});

test("operations take turns, page by page, one that comes later too", async () => {
  const { clock, context, batches, begin } = startWork();
  const done: string[] = [];
  const pagesOf = new Map([
    [1, 6],
    [2, 2],
  ]);
  batches.matching = async (_owner, { number }, { after }) => {
    const page = (after?.seq ?? 0) + 1;
    if (page > (pagesOf.get(number) ?? 0)) return { tasks: [], last: undefined };
    done.push(`${number}/${page}`);
    if (done.length === 2) begin(2);
    await clock.sleep(10);
    return { tasks: [], last: { enqueuedAt: 1, seq: page } };
  };
  context.wakeOperations.notify();
  await clock.advance(2_000);
  expect(done).toEqual(["1/1", "1/2", "1/3", "2/1", "1/4", "2/2", "1/5", "1/6"]);
});
