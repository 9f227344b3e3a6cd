import { createHealthSignal, createWake, type Priority, type Seq } from "@sluice/core";
import { aFlow, FakeClock } from "@sluice/core/testing";
import type { Block } from "@sluice/queue";
import { silentLogger } from "@sluice/runtime";
import type { LaneRecords } from "@sluice/store";
import { expect, onTestFinished, test } from "vitest";
import { defaultSchedulerConfig } from "../config.ts";
import type { PartitionContext } from "./context.ts";
import { createMemory } from "./memory.ts";
import { sweepLoop } from "./sweep.ts";

interface Row {
  readonly seq: Seq;
  readonly priority: Priority;
  announcedAt: number;
}

const ageMs = defaultSchedulerConfig.sweepAgeMs;
const everyMs = defaultSchedulerConfig.sweepEveryMs;

/** A partition that only sweeps, over rows in an array; every message that is published arrives at once. */
function startSweeping() {
  const clock = new FakeClock();
  const rows: Row[] = [];
  const memory = createMemory();
  const health = createHealthSignal();
  const caughtUpTo = [0, 1, 2, 3].map(() => Number.POSITIVE_INFINITY);
  const state = { looked: 0, sweeps: 0, published: [] as Seq[], refusePublish: false };

  const lanes: Pick<LaneRecords, "sweep" | "touch"> = {
    async sweep(_owner, { priority, after, announcedBefore, limit }) {
      state.sweeps += 1;
      const found = rows
        .filter((row) => row.priority === priority && row.announcedAt < announcedBefore)
        .filter(
          ({ announcedAt, seq }) =>
            announcedAt > after.announcedAt || (announcedAt === after.announcedAt && seq > after.seq),
        )
        .sort((a, b) => a.announcedAt - b.announcedAt || a.seq - b.seq)
        .slice(0, limit);
      state.looked += found.length;
      const last = found.at(-1);
      return { seqs: found.map(({ seq }) => seq), last: last && { announcedAt: last.announcedAt, seq: last.seq } };
    },
    async touch(_owner, seqs) {
      const touched = new Set(seqs);
      const found = rows.filter(({ seq }) => touched.has(seq));
      for (const row of found) row.announcedAt = clock.now();
      return found.map(({ seq, priority }) => ({ ...aFlow(), seq, lane: 0, priority, enqueuedAt: 0 }));
    },
  };

  function deliver(block: Block): void {
    memory.enter({ block, deliveryCount: 1 });
  }

  const context = {
    owner: { queue: "q0", prefix: "", epoch: 1 },
    clock,
    log: silentLogger,
    config: { ...defaultSchedulerConfig, schedulerId: "s1" },
    metrics: { reannounced: { inc: () => undefined } },
    draining: false,
    isTrusted: () => true,
    stepDown: () => undefined,
    memory,
    wakeSweep: createWake(clock),
    store: { lanes },
    consumers: caughtUpTo.map((_, priority) => ({ caughtUpTo: async () => caughtUpTo[priority] })),
    queue: {
      health,
      async publish(blocks: readonly Block[]) {
        if (state.refusePublish) throw new Error("the queue is away");
        for (const block of blocks) {
          state.published.push(...block.seqs);
          deliver(block);
        }
      },
    },
  };

  /** Rows that are announced now. */
  function announce(count: number, { priority = 2 as Priority, isLost = false } = {}): Seq[] {
    const seqs = Array.from({ length: count }, (_, index) => rows.length + 1 + index);
    rows.push(...seqs.map((seq) => ({ seq, priority, announcedAt: clock.now() })));
    if (!isLost) deliver({ ...aFlow(), queue: "q0", lane: 0, priority, seqs, enqueuedAt: 0 });
    return seqs;
  }

  const stop = new AbortController();
  const done = sweepLoop(context as unknown as PartitionContext)(stop.signal);
  onTestFinished(async () => {
    stop.abort();
    await done;
  });
  return { clock, state, rows, caughtUpTo, health, announce };
}

test("a row that lost its message is announced again 10 to 15 s later, once", async () => {
  const { clock, state, announce } = startSweeping();
  const [lost = 0] = announce(1, { isLost: true });
  await clock.advance(ageMs - 1_000);
  expect(state.published).toEqual([]);
  await clock.advance(everyMs + 1_000);
  expect(state.published).toEqual([lost]);
  await clock.advance(60_000);
  expect(state.published).toEqual([lost]);
});

test("when everything is lost, everything is announced again in one round", async () => {
  const { clock, state, announce } = startSweeping();
  const lost = announce(12_000, { isLost: true });
  await clock.advance(ageMs + everyMs);
  expect(state.published).toEqual(lost);
});

test("rows that wait for long are not looked at in every round", async () => {
  const { clock, state, announce } = startSweeping();
  announce(20_000);
  await clock.advance(ageMs + everyMs);
  const { looked } = state;
  expect(looked).toBeGreaterThanOrEqual(20_000);
  const rounds = 12;
  await clock.advance(rounds * everyMs);
  expect(state.looked - looked).toBeLessThanOrEqual(rounds * 5_000);
  expect(state.published).toEqual([]);
});

test("what has not been delivered yet is left alone, and holds up no other priority", async () => {
  const { clock, state, caughtUpTo, announce } = startSweeping();
  caughtUpTo[3] = clock.now();
  const pending = announce(3, { priority: 3, isLost: true });
  const [urgent = 0] = announce(1, { priority: 0, isLost: true });
  await clock.advance(30_000);
  expect(state.published).toEqual([urgent]);
  caughtUpTo[3] = Number.POSITIVE_INFINITY;
  await clock.advance(everyMs);
  expect(state.published).toEqual([urgent, ...pending]);
});

test("it looks at once when the queue is back", async () => {
  const { clock, state, health, announce } = startSweeping();
  health.set(true);
  await clock.advance(ageMs + everyMs + 1);
  health.set(false);
  announce(1, { isLost: true });
  await clock.advance(ageMs + 1);
  const { sweeps } = state;
  health.set(true);
  await clock.advance(1);
  expect(state.sweeps).toBeGreaterThan(sweeps);
  expect(state.published).toHaveLength(1);
});

test("what could not be published is found again", async () => {
  const { clock, state, announce } = startSweeping();
  const lost = announce(2_500, { isLost: true });
  state.refusePublish = true;
  await clock.advance(ageMs + everyMs);
  state.refusePublish = false;
  await clock.advance(ageMs + 2 * everyMs);
  expect(state.published.sort((a, b) => a - b)).toEqual(lost);
});

test("a row that was committed long after it got its time is found in the end", async () => {
  const { clock, state, rows, announce } = startSweeping();
  announce(12_000);
  await clock.advance(60_000);
  const [late = 0] = announce(1, { isLost: true });
  for (const row of rows) if (row.seq === late) row.announcedAt = 0;
  await clock.advance(60_000);
  expect(state.published).toEqual([late]);
});
