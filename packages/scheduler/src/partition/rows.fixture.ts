// A partition with the loops that work on rows in bulk, over rows in memory and a queue; for tests.
import {
  type Clock,
  createExpectedCosts,
  createFairOrder,
  type Flow,
  flowKey,
  type OwnedPartition,
  type Priority,
  priorities,
  type Seq,
  urgency,
} from "@sluice/core";
import { FakeClock } from "@sluice/core/testing";
import type { Block, Consumer, TaskQueue } from "@sluice/queue";
import { createMemoryQueue } from "@sluice/queue/memory";
import { silentLogger } from "@sluice/runtime";
import type { Announced, Announcement, OverflowFlow } from "@sluice/store";
import { Registry } from "prom-client";
import { onTestFinished } from "vitest";
import { blocksOf } from "../announce.ts";
import { defaultSchedulerConfig } from "../config.ts";
import { schedulerMetrics } from "../metrics.ts";
import { createWakes, type PartitionContext } from "./context.ts";
import { allGates } from "./gates.ts";
import { createLookAhead } from "./look-ahead.ts";
import { createMemory, type Waiting } from "./memory.ts";
import type { Overflown } from "./overflow/overflown.ts";
import { PendingWrites } from "./pending-writes.ts";
import { pick } from "./pick.ts";
import { createPreempting } from "./preempting.ts";
import { createSights } from "./sights.ts";

export const owner: OwnedPartition = { queue: "q0", prefix: "", epoch: 5 };

interface Row extends Announcement {
  expiresAt: number;
  dueAt: number | undefined;
  isFinal: boolean;
  /** How often it was parked. */
  parked: number;
  /** Nobody may write it: it runs somewhere. */
  isRunning: boolean;
  /** Of the owner that announced it. */
  stamp: number;
}

interface InsertOptions {
  readonly expiresInMs?: number;
  readonly priority?: Priority;
}

/** The part of the store that these loops use. */
export function fakeRows(clock: Clock) {
  const rows = new Map<Seq, Row>();
  const calls = { expire: 0, parkOverflow: 0, unparkOverflow: 0, read: 0, overflowFlows: [] as number[] };
  const failing = new Set<string>();
  const counting = { ms: 0 };
  let lastSeq = 0;
  const isWaiting = (row: Row) => !row.isFinal && row.dueAt === undefined;
  const may = (name: string) => {
    if (failing.has(name)) throw new Error(`${name} fails`);
  };
  const lanes = {
    async expired(
      _owner: OwnedPartition,
      { priority, after, limit }: { priority: number; after: Announced; limit: number },
    ) {
      const page = [...rows.values()]
        .filter((row) => row.priority === priority && isWaiting(row) && row.seq > after.seq)
        .slice(0, limit);
      const parked = [...rows.values()].filter((row) => row.dueAt !== undefined && row.expiresAt <= clock.now());
      const last = page.at(-1);
      return {
        seqs: [...page.filter((row) => row.expiresAt <= clock.now()), ...parked].map(({ seq }) => seq),
        last: page.length < limit || !last ? undefined : { announcedAt: 1, seq: last.seq },
      };
    },
    async expire(_owner: OwnedPartition, seqs: readonly Seq[], { stampMin }: { stampMin: number }) {
      calls.expire++;
      may("expire");
      const ended = seqs
        .flatMap((seq) => rows.get(seq) ?? [])
        .filter((row) => !row.isFinal && !row.isRunning && row.expiresAt <= clock.now())
        .filter((row) => row.dueAt !== undefined || row.stamp >= stampMin);
      for (const row of ended) Object.assign(row, { isFinal: true, dueAt: undefined });
      return ended.map(({ seq, lane }) => ({ seq, lane, attempt: 1 }));
    },
    async parkOverflow(_owner: OwnedPartition, seqs: readonly Seq[], { dueInMs }: { dueInMs: number }) {
      calls.parkOverflow++;
      may("parkOverflow");
      const parked = seqs.flatMap((seq) => rows.get(seq) ?? []).filter((row) => isWaiting(row) && !row.isRunning);
      for (const row of parked) {
        row.dueAt = clock.now() + dueInMs;
        row.parked++;
      }
      return parked.map(({ seq }) => seq);
    },
    async unparkOverflow(_owner: OwnedPartition, flow: Flow, limit: number) {
      calls.unparkOverflow++;
      may("unparkOverflow");
      may(`unparkOverflow of ${flow.accountId}`);
      const taken = [...rows.values()]
        .filter((row) => row.dueAt !== undefined && flowKey(row) === flowKey(flow))
        .sort((a, b) => urgency(a) - urgency(b) || a.seq - b.seq)
        .slice(0, limit);
      for (const row of taken) row.dueAt = undefined;
      return taken;
    },
    async overflowFlows(_owner: OwnedPartition, { countMax }: { countMax: number }) {
      calls.overflowFlows.push(countMax);
      if (countMax > 1 && counting.ms > 0) await clock.sleep(counting.ms);
      if (countMax > 1) may("count");
      const flows = new Map<string, OverflowFlow>();
      for (const row of rows.values()) {
        if (row.dueAt === undefined) continue;
        const { accountId, functionName } = row;
        const parked = Math.min(countMax, (flows.get(flowKey(row))?.parked ?? 0) + 1);
        flows.set(flowKey(row), { accountId, functionName, parked });
      }
      return [...flows.values()];
    },
  };
  function insert(
    flow: Flow,
    count: number,
    { expiresInMs = 86_400_000, priority = 2 }: InsertOptions = {},
  ): Announcement[] {
    return Array.from({ length: count }, () => {
      const seq = ++lastSeq;
      const { accountId, functionName } = flow;
      const announcement = { accountId, functionName, seq, lane: seq % 32, priority, enqueuedAt: clock.now() };
      rows.set(seq, {
        ...announcement,
        expiresAt: clock.now() + expiresInMs,
        dueAt: undefined,
        isFinal: false,
        parked: 0,
        isRunning: false,
        stamp: owner.epoch,
      });
      return announcement;
    });
  }
  return {
    rows,
    calls,
    failing,
    /** How long it takes to count. */
    counting,
    lanes,
    insert,
    parkedRows: () => [...rows.values()].filter(({ dueAt }) => dueAt !== undefined),
  };
}

export interface RowsOptions {
  readonly tasksMax?: number;
  readonly bytesMax?: number;
  /** The queue's driver cannot hear what is published. */
  readonly isDeaf?: boolean;
  /** Agents that may be running rows of earlier owners. */
  readonly unanswered?: readonly string[];
}

export async function rowsWorld({
  tasksMax = 1_500_000,
  bytesMax = 64 * 2 ** 20,
  isDeaf = false,
  unanswered = [],
}: RowsOptions = {}) {
  const clock = new FakeClock();
  const store = fakeRows(clock);
  const memoryQueue = createMemoryQueue({ clock });
  const hints: string[] = [];
  const state = { isQueueAway: false };
  const queue = {
    async publish(blocks: readonly Block[]) {
      if (state.isQueueAway) throw new Error("the queue is away");
      await memoryQueue.publish(blocks);
    },
    ...(!isDeaf && { hear: memoryQueue.hear?.bind(memoryQueue) }),
  } as TaskQueue;
  const consumers: Consumer[] = await Promise.all(
    priorities.map((priority) => memoryQueue.open({ ...owner, priority })),
  );
  for (const consumer of consumers) {
    const caughtUpTo = consumer.caughtUpTo.bind(consumer);
    consumer.caughtUpTo = async () => {
      if (state.isQueueAway) throw new Error("the queue is away");
      return await caughtUpTo();
    };
  }
  const lookAhead = createLookAhead({ tasksMax, bytesMax });
  const memory = createMemory();
  lookAhead.join(memory.loads);
  let isSteppedDown = false;
  const context = {
    ...createWakes(clock),
    ...{ clock, owner, memory, lookAhead, queue, consumers, store },
    log: silentLogger,
    metrics: schedulerMetrics(new Registry()),
    config: { ...defaultSchedulerConfig, schedulerId: "s1", batchSize: 1 },
    order: createFairOrder<Waiting>(),
    costs: createExpectedCosts(),
    signals: { send: (_topic: string, payload: string) => hints.push(payload) },
    sights: createSights(clock),
    overflown: new Map<string, Overflown>(),
    gates: allGates([]),
    preempting: createPreempting(),
    pending: new PendingWrites(),
    held: { count: 0, flows: new Set<string>() },
    payloadBytes: 0,
    blockedUntil: 0,
    heldBackAt: new Map<string, number>(),
    agents: { links: [{ isAttached: () => true, free: Number.POSITIVE_INFINITY }] },
    functions: { peek: () => undefined },
    unanswered: new Set(unanswered),
    suspects: new Map(),
    draining: false,
    expiredAtTurn: undefined,
    isTrusted: () => true,
    stepDown() {
      isSteppedDown = true;
    },
  } as unknown as PartitionContext;
  const stop = new AbortController();
  const running: Promise<void>[] = [];
  onTestFinished(async () => {
    stop.abort();
    await Promise.all(running);
  });
  return {
    ...{ clock, context, store, memory, hints, state },
    run(loop: (signal: AbortSignal) => Promise<void>) {
      running.push(loop(stop.signal));
    },
    /** As an api-server does: `together` of them in a group commit. */
    async submit(
      flow: Flow,
      count: number,
      { together = 256, ...options }: InsertOptions & { together?: number } = {},
    ) {
      const rows = store.insert(flow, count, options);
      for (let start = 0; start < rows.length; start += together) {
        await queue.publish(blocksOf(owner.queue, rows.slice(start, start + together)));
      }
    },
    /** Takes the next number as if it was dispatched and has ended at once. */
    settleNext(): Announcement | undefined {
      for (;;) {
        const [task] = pick(context);
        if (!task) return undefined;
        const { seq } = task;
        const row = store.rows.get(seq) as Row;
        const isGone = row.isFinal || row.dueAt !== undefined;
        if (!isGone) row.isFinal = true;
        memory.forget(seq);
        for (const priority of priorities) {
          context.wakePull[priority].notify();
        }
        void Promise.all(
          consumers.map((consumer, priority) =>
            consumer.ack(memory.takeAckable().filter(({ block }) => block.priority === priority)),
          ),
        );
        if (!isGone) return row;
      }
    },
    get isSteppedDown() {
      return isSteppedDown;
    },
  };
}
