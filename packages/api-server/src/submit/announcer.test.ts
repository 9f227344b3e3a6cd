import { AccountId, AppError, FunctionName, TaskId } from "@sluice/core";
import { eventually, FakeClock, seededRandom } from "@sluice/core/testing";
import type { Block, TaskQueue } from "@sluice/queue";
import { silentLogger } from "@sluice/runtime";
import fc from "fast-check";
import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { apiServerMetrics } from "../metrics.ts";
import { blocksOf, createAnnouncer } from "./announcer.ts";
import type { Recorded } from "./recorder.ts";

test("blocks hold every task once, at most 256, of one flow, lane and priority", () => {
  const anEntry = fc.record({ name: fc.constantFrom("a", "b"), priority: fc.constantFrom(0, 2), lane: fc.nat(1) });
  fc.assert(
    fc.property(fc.array(anEntry, { maxLength: 1500 }), (entries) => {
      const group = entries.map((entry, index) => recorded(index + 1, entry));
      const blocks = blocksOf(group);
      expect(blocks.every(({ seqs }) => seqs.length >= 1 && seqs.length <= 256)).toBe(true);
      const announced = blocks.flatMap((block) => block.seqs.map((seq) => ({ seq, block })));
      expect(announced.map(({ seq }) => seq).sort((x, y) => x - y)).toEqual(group.map((_, index) => index + 1));
      for (const { seq, block } of announced) {
        const entry = entries[seq - 1];
        expect([block.functionName, block.priority, block.lane]).toEqual([entry?.name, entry?.priority, entry?.lane]);
      }
    }),
    { numRuns: 20, seed: 1 },
  );
});

test("what is parked, repeated or a duplicate is not announced", () => {
  const group: Recorded[] = [
    recorded(1),
    { ...recorded(2), task: { ...recorded(2).task, delayMs: 1 } },
    { ...recorded(3), outcome: { kind: "repeated" } },
  ];
  expect(blocksOf(group).map((block) => block.seqs)).toEqual([[1]]);
});

test("what cannot be published is kept and published when the queue answers again", async () => {
  const { announcer, published, queue, clock, metrics } = anAnnouncer();
  queue.isDown = true;
  const stop = new AbortController();
  const running = announcer.run(stop.signal, async () => {});
  announcer.announce([recorded(1)]);
  await clock.advance(1000);
  announcer.announce([recorded(2)]);
  await clock.advance(60_000);
  expect(published).toEqual([]);
  queue.isDown = false;
  await clock.advance(5_000);
  expect(published.flatMap((block) => block.seqs)).toEqual([1, 2]);
  // The back-off is capped at 5 s, so a minute has at least 12 tries, and it is no hot loop.
  const failures = (await metrics.announceFailures.get()).values[0]?.value ?? 0;
  expect(failures).toBeGreaterThan(12);
  expect(failures).toBeLessThan(60);
  stop.abort();
  await running;
});

test("a full backlog leaves the rest to the sweeper and counts it", async () => {
  const { announcer, metrics } = anAnnouncer({ blocksMax: 2 });
  announcer.announce([recorded(1, { lane: 0 }), recorded(2, { lane: 1 }), recorded(3, { lane: 2 })]);
  announcer.announce([recorded(4, { lane: 3 })]);
  expect((await metrics.announceDropped.get()).values[0]?.value).toBe(2);
  expect((await metrics.announceBacklog.get()).values[0]?.value).toBe(2);
});

test("at the end everything recorded until then is published once more", async () => {
  const { announcer, published } = anAnnouncer();
  const stop = new AbortController();
  let drain: (() => void) | undefined;
  const drained = new Promise<void>((resolve) => {
    drain = resolve;
  });
  const running = announcer.run(stop.signal, () => drained);
  stop.abort();
  announcer.announce([recorded(1)]);
  drain?.();
  await running;
  await eventually(() => published.length === 1);
});

function anAnnouncer({ blocksMax = 1000 } = {}) {
  const published: Block[] = [];
  const clock = new FakeClock();
  const metrics = apiServerMetrics(new Registry());
  const queue = {
    isDown: false,
    async publish(blocks: readonly Block[]) {
      if (queue.isDown) throw new AppError("unavailable", "QUEUE_UNAVAILABLE", "down");
      published.push(...blocks);
    },
  };
  const announcer = createAnnouncer({
    queue: queue as unknown as TaskQueue,
    clock,
    random: seededRandom(1),
    log: silentLogger,
    metrics,
    blocksMax,
  });
  return { announcer, published, queue, clock, metrics };
}

function recorded(seq: number, { name = "echo", priority = 2, lane = 0 } = {}): Recorded {
  return {
    task: {
      accountId: AccountId("main"),
      functionName: FunctionName(name),
      taskId: TaskId(`t${seq}`),
      queue: "q0",
      lane,
      priority: priority as 0 | 2,
      payload: new Uint8Array(),
      delayMs: 0,
      expiresAfterMs: 0,
      submissionToken: "",
      tags: [],
    },
    outcome: { kind: "inserted", seq, enqueuedAt: 1 },
  };
}
