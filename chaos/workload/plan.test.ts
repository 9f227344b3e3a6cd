import { AccountId, firstQueueOf, sharedQueues } from "@sluice/core";
import { seededRandom } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { type TaskKind, taskKinds } from "../contract.ts";
import { createPace } from "./pace.ts";
import { accounts, createPlan, defaultMix, limitedFlows, type PlannedTask, workFlows } from "./plan.ts";

function planned(
  count: number,
  { seed = 1, mix = defaultMix }: { seed?: number; mix?: Partial<Record<TaskKind, number>> } = {},
) {
  const next = createPlan({ random: seededRandom(seed), mix, longMs: [30_000, 120_000] });
  return Array.from({ length: count }, next);
}

test("the same seed plans the same tasks, another one others", () => {
  expect(planned(200)).toEqual(planned(200));
  expect(planned(200)).not.toEqual(planned(200, { seed: 2 }));
});

test("every kind has its share, over all accounts and queues", () => {
  const tasks = planned(20_000);
  const shareOf = (is: (task: PlannedTask) => boolean) => (100 * tasks.filter(is).length) / tasks.length;
  for (const kind of taskKinds) {
    const share = shareOf((task) => task.kind === kind);
    expect(Math.abs(share - defaultMix[kind])).toBeLessThan(1);
  }
  for (const account of accounts) expect(shareOf((task) => task.account === account)).toBeGreaterThan(10);
  for (const { function: name } of limitedFlows) expect(shareOf((task) => task.function === name)).toBeGreaterThan(0.7);
  const queues = workFlows.map((flow) => firstQueueOf(AccountId(flow.account)));
  expect(queues.sort()).toEqual(sharedQueues());
});

test("a kind that is left out does not occur, and a mix of nothing is refused", () => {
  expect(new Set(planned(100, { mix: { long: 1, short: 0 } }).map(({ kind }) => kind))).toEqual(new Set(["long"]));
  expect(() => planned(1, { mix: { short: 0 } })).toThrow("a mix needs a share above 0");
});

test("accounts use the same task ids, each once", () => {
  const tasks = planned(3_000, { mix: { short: 1 } });
  const ids = accounts.map((account) => tasks.filter((task) => task.account === account).map(({ taskId }) => taskId));
  expect(ids.map((own) => own[0])).toEqual(accounts.map(() => "short-1"));
  for (const own of ids) expect(new Set(own).size).toBe(own.length);
});

test("each kind does what its name says", () => {
  const is: Readonly<Record<TaskKind, (task: PlannedTask) => boolean>> = {
    short: ({ input }) => input.ms >= 5 && input.ms <= 50,
    medium: ({ input }) => input.ms >= 1_000 && input.ms <= 5_000,
    long: ({ input }) => input.ms >= 30_000 && input.ms <= 120_000,
    retried: ({ input }) => input.failures === 1,
    crashing: ({ input, function: name }) => input.crashes === 1 && name === "crash",
    delayed: ({ delayMs }) => delayMs >= 1_000,
    stopped: ({ input, delayMs, stopAfterMs }) => stopAfterMs !== undefined && stopAfterMs < delayMs + input.ms,
    expiring: ({ expiresAfterMs }) => expiresAfterMs >= 1 && expiresAfterMs <= 10_000,
    limited: ({ input, account, function: name }) =>
      input.ms >= 300 &&
      input.ms <= 1_000 &&
      limitedFlows.some((flow) => flow.account === account && flow.function === name),
  };
  for (const task of planned(3_000)) expect([task, is[task.kind](task)]).toEqual([task, true]);
});

test("a pace keeps its rate, however seldom it is asked", () => {
  const random = seededRandom(1);
  const due = createPace(40, () => random.next());
  expect(due(1_000)).toBe(0);
  const counts = [1_010, 1_020, 6_000, 101_000].map(due);
  const total = counts.reduce((sum, count) => sum + count, 0);
  expect(total).toBeGreaterThan(3_700);
  expect(total).toBeLessThan(4_300);
  expect(due(101_000)).toBe(0);
});
