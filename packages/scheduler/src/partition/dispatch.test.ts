import { type Clock, createFairOrder, FunctionName, type Seq, TaskId } from "@sluice/core";
import { aFlow, FakeClock, seededRandom } from "@sluice/core/testing";
import type { DispatchAttempt } from "@sluice/protocol";
import { silentLogger } from "@sluice/runtime";
import type { FunctionRecord, SettleWrite, TaskRow } from "@sluice/store";
import { Registry } from "prom-client";
import { expect, onTestFinished, test } from "vitest";
import type { PartitionPort } from "../agents/link.ts";
import { createPace } from "../agents/pace.ts";
import { defaultSchedulerConfig } from "../config.ts";
import { schedulerMetrics } from "../metrics.ts";
import { createWakes, type PartitionContext, putInOrder } from "./context.ts";
import { dispatchLoop } from "./dispatch.ts";
import { createMemory, type Waiting } from "./memory.ts";
import { PendingWrites } from "./pending-writes.ts";

const KiB = 1024;
const epoch = 5;
const echo = aFlow();

interface DispatchOptions {
  readonly unanswered?: readonly string[];
  /** Of every function; 0: none has room. */
  readonly instancesMax?: number;
  /** How long it takes to look for the room of a flow. */
  readonly lookMs?: number;
  /** How long it takes to read rows. */
  readonly readMs?: number;
}

/** A partition that only dispatches, to one agent that takes everything. */
function startDispatching(options: DispatchOptions = {}) {
  const clock = new FakeClock();
  const { unanswered = [], instancesMax = 1_000, lookMs = 0, readMs = 0 } = options;
  let looks = 0;
  const rows = new Map<Seq, TaskRow>();
  const reads: Seq[][] = [];
  const frames: DispatchAttempt[][] = [];
  const link = {
    agentId: "a1",
    get free() {
      return 1_000 - link.used;
    },
    used: 0,
    usedOfRevision: new Map<number, number>(),
    warm: new Set<number>(),
    instancesMax: 10_000,
    isAttached: () => true,
    dispatch(_port: PartitionPort, attempts: DispatchAttempt[]) {
      frames.push(attempts);
      return true;
    },
  };
  const busyClock: Clock = {
    now: () => clock.now(),
    monotonic: () => clock.monotonic() + looks * lookMs,
    sleep: (ms, signal) => clock.sleep(ms, signal),
    timer: (ms, callback) => clock.timer(ms, callback),
  };
  const record = { revision: 1, settings: { instanceConcurrency: 1_000, instancesMax } } as FunctionRecord;
  const context = {
    pace: createPace(),
    ...createWakes(clock),
    owner: { queue: "q0", prefix: "", epoch },
    clock: busyClock,
    random: seededRandom(1),
    log: silentLogger,
    metrics: schedulerMetrics(new Registry()),
    config: { ...defaultSchedulerConfig, schedulerId: "s1" },
    isTrusted: () => true,
    memory: createMemory(),
    order: createFairOrder<Waiting>(),
    pending: new PendingWrites(),
    unanswered: new Set(unanswered),
    suspects: new Map(),
    held: { count: 0, flows: new Set<string>() },
    draining: false,
    dispatching: 0,
    dispatched: 0,
    payloadBytes: 0,
    blockedUntil: 0,
    key: "q0/-",
    agents: { links: [link] },
    functions: {
      peek() {
        looks += 1;
        return record;
      },
      read: async (flows: readonly (typeof echo)[]) =>
        new Map(flows.map(({ accountId, functionName }) => [`${accountId}/${functionName}`, record])),
    },
    store: {
      lanes: {
        async read(_owner: unknown, seqs: readonly Seq[]) {
          reads.push([...seqs]);
          if (readMs > 0) await clock.sleep(readMs);
          return seqs.flatMap((seq) => rows.get(seq) ?? []);
        },
      },
    },
  } as unknown as PartitionContext;

  let lastSeq = 0;
  /** Tasks in one block, whose rows have this payload and stamp. */
  function deliver(count: number, { flow = echo, bytes = 1, stamp = epoch } = {}): void {
    const seqs = Array.from({ length: count }, () => ++lastSeq);
    for (const seq of seqs) rows.set(seq, { ...aRow(seq), ...flow, stamp, payload: new Uint8Array(bytes) });
    const block = { ...flow, queue: "q0", lane: 0, priority: 2 as const, seqs, enqueuedAt: lastSeq };
    const waiting = context.memory.enter({ block, deliveryCount: 1 });
    if (waiting) putInOrder(context, waiting);
    context.wakeDispatch.notify();
  }

  const stop = new AbortController();
  const done = dispatchLoop(context, {} as PartitionPort, 0)(stop.signal);
  onTestFinished(async () => {
    stop.abort();
    await done;
  });
  return {
    ...{ clock, context, reads, frames, deliver },
    get looks() {
      return looks;
    },
  };
}

function aRow(seq: Seq): TaskRow {
  return {
    ...echo,
    seq,
    taskId: TaskId(`t${seq}`),
    lane: 0,
    status: "Enqueued",
    priority: 2,
    attempt: 1,
    retries: 0,
    lostAttempts: 0,
    stamp: epoch,
    enqueuedAt: 0,
    dueAt: undefined,
    expiresAt: undefined,
    endedAt: undefined,
    stopRequested: false,
    payload: new Uint8Array(),
  };
}

const bytesOf = (attempts: readonly DispatchAttempt[]) =>
  attempts.reduce((sum, { payload }) => sum + payload.byteLength, 0);

test("large payloads travel in several frames, and are read in small batches once they are known to be large", async () => {
  const { clock, reads, frames, deliver } = startDispatching();
  for (let block = 0; block < 4; block++) deliver(100, { bytes: 128 * KiB });
  await clock.advance(1);
  expect(frames.flat().map(({ seq }) => seq)).toHaveLength(400);
  expect(Math.max(...frames.map(bytesOf))).toBeLessThanOrEqual(1024 * KiB);
  expect(reads.slice(1).map(({ length }) => length)).toEqual(
    reads
      .slice(1, -1)
      .map(() => 32)
      .concat(16),
  );
});

test("a payload that is larger than a frame should be goes alone", async () => {
  const { clock, frames, deliver } = startDispatching();
  deliver(2, { bytes: 2 * 1024 * KiB });
  await clock.advance(1);
  expect(frames.map(({ length }) => length)).toEqual([1, 1]);
});

test("rows that an unheard agent may be running are held, and no more of them are read than memory can bear", async () => {
  const { clock, context, reads, frames, deliver } = startDispatching({ unanswered: ["gone"] });
  for (let block = 0; block < 60; block++) deliver(256, { stamp: epoch - 1 });
  await clock.advance(1);
  expect(reads.flat().length).toBeLessThan(11_000);
  expect(context.held.count).toBe(reads.flat().length);
  expect(frames).toEqual([]);

  const other = aFlow({ function: FunctionName("other") });
  deliver(3, { flow: other });
  await clock.advance(1);
  expect(frames.flat()).toHaveLength(3);
});

test("a row that was read before the last agent had answered is read again", async () => {
  const { clock, context, reads, frames, deliver } = startDispatching({ unanswered: ["slow"], readMs: 100 });
  deliver(1, { stamp: epoch - 1 });
  await clock.advance(50);
  context.unanswered.clear();
  await clock.advance(60);
  expect(frames).toEqual([]);
  await clock.advance(100);
  expect(reads).toEqual([[1], [1]]);
  expect(frames.flat()).toHaveLength(1);
});

test("nothing more is dispatched while outcomes cannot be written as fast as they come", async () => {
  const { clock, context, frames, deliver } = startDispatching();
  const write = { kind: "settle", seq: 9_999, result: new Uint8Array(), error: undefined } as unknown as SettleWrite;
  while (!context.pending.isFull) context.pending.push({ write, confirmTo: undefined });
  deliver(3);
  await clock.advance(5_000);
  expect(frames).toEqual([]);
  context.pending.take(256);
  context.wakeDispatch.notify();
  await clock.advance(1);
  expect(frames.flat()).toHaveLength(3);
});

test("thousands of flows without room are not looked at for every attempt that ends", async () => {
  const dispatching = startDispatching({ instancesMax: 0, lookMs: 0.01 });
  const { clock, context, deliver } = dispatching;
  const flowOf = (index: number) => aFlow({ function: `f${index}` });
  for (let index = 0; index < 1_000; index++) deliver(1, { flow: flowOf(index) });
  await clock.advance(1);
  expect(dispatching.looks).toBe(1_000);

  for (let end = 0; end < 20; end++) {
    context.order.unblock(flowOf(end));
    context.wakeDispatch.notify();
    await clock.advance(1);
  }
  expect(dispatching.looks).toBe(1_020);
  await clock.advance(500);
  expect(dispatching.looks).toBe(2_020);
});
