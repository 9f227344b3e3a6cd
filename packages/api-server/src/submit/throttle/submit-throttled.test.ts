// The throttle on the way of a submission: through the calls, to the store, from the document in etcd.
import { type Admission, writeAdmission } from "@sluice/coordination";
import type { AccountId } from "@sluice/core";
import { FakeClock } from "@sluice/core/testing";
import type { TaskQueue } from "@sluice/queue";
import { createMemoryQueue } from "@sluice/queue/memory";
import type { Store } from "@sluice/store";
import { openPglite } from "@sluice/store/pglite";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { intercept } from "../../testing/intercept.ts";
import {
  anAccountWithEcho,
  aSubmission,
  startTestApi,
  type TestAccount,
  type TestApi,
} from "../../testing/test-api.ts";

const clock = new FakeClock();
let store: Store;
let api: TestApi;
let noisy: TestAccount;
let good: TestAccount;

beforeAll(async () => {
  store = await openPglite({ dataDir: "memory", inWorker: false, clock });
  api = startTestApi({ store, clock });
});
beforeEach(async () => {
  noisy = await anAccountWithEcho(api, store);
  good = await anAccountWithEcho(api, store);
  // Past the second in which one submission of everybody gets through, and the looks of the second before.
  await clock.advance(1_000);
});
afterAll(async () => {
  await api.stop();
  await store[Symbol.asyncDispose]();
});

test("an account that is refused is told when to come back, while another one loses nothing", async () => {
  await refuse(noisy.accountId);
  const first = await submitMany(noisy, 50);
  expect(first.filter(({ $case }) => $case === "accepted")).toHaveLength(1);
  const rejected = first.find(({ $case }) => $case === "rejected");
  expect(rejected).toMatchObject({ value: { reason: "THROTTLED", field: "" } });
  expect((rejected?.$case === "rejected" && rejected.value.retryAfterMs) || 0).toBeGreaterThanOrEqual(8_000);
  await expect(api.tasks.submitTask({ task: aSubmission() }, noisy.call())).rejects.toMatchObject({
    code: "exhausted",
    reason: "THROTTLED",
    retryAfterMs: expect.any(Number),
  });
  const others = await submitMany(good, 50);
  expect(others.every(({ $case }) => $case === "accepted")).toBe(true);
});

test("a repetition of what was accepted is answered from the store, whoever is refused", async () => {
  const task = aSubmission({ taskId: "known", submissionToken: "token" });
  await api.tasks.submitTask({ task }, noisy.call());
  await refuse(noisy.accountId);
  await submitMany(noisy, 1);
  const { results } = await api.tasks.submitTasks({ tasks: [task, aSubmission({ taskId: "new" })] }, noisy.call());
  expect(results.map(({ outcome }) => outcome)).toMatchObject([
    { $case: "accepted", value: { taskId: "known", repeated: true } },
    { $case: "rejected", value: { reason: "THROTTLED" } },
  ]);
});

test("before the queue's stream is full submissions are refused, and nothing is recorded that could not be announced", async () => {
  const queue = createMemoryQueue({ clock });
  let fullness: number | undefined;
  const bounded = intercept<TaskQueue>(queue, { fullness: () => fullness });
  await using other = startTestApi({ store, clock, queue: bounded });
  const task = aSubmission({ taskId: "known", submissionToken: "token" });
  await other.tasks.submitTask({ task }, good.call());

  fullness = 0.95;
  const refused = other.tasks.submitTask({ task: aSubmission({ taskId: "new" }) }, good.call());
  await expect(refused).rejects.toMatchObject({
    code: "exhausted",
    reason: "QUEUE_FULL",
    retryAfterMs: expect.any(Number),
  });
  const missing = other.tasks.getTask({ function: "echo", taskId: "new" }, good.call());
  await expect(missing).rejects.toMatchObject({ reason: "TASK_NOT_FOUND" });
  expect(await other.tasks.submitTask({ task }, good.call())).toEqual({ taskId: "known" });
  expect(await other.registry.metrics()).toContain('throttled_submissions_total{scope="stream"} 2');

  fullness = 0.5;
  await other.tasks.submitTask({ task: aSubmission({ taskId: "new" }) }, good.call());
});

test("reading and stopping tasks is not refused", async () => {
  await api.tasks.submitTask({ task: aSubmission({ taskId: "mine" }) }, noisy.call());
  await refuse(noisy.accountId);
  const named = { function: "echo", taskId: "mine" };
  expect((await api.tasks.getTask(named, noisy.call())).taskId).toBe("mine");
  await api.tasks.stopTask(named, noisy.call());
});

async function refuse(accountId: AccountId): Promise<void> {
  const load = { waiting: 50_000, ageMs: 0, drainPerSecond: 100, retryAfterMs: 10_000, othersDrop: 0 };
  const drop = { accountId, functionName: undefined, queue: undefined, probability: 1, share: 1, rate: 50 };
  const queues = new Map(Array.from({ length: 8 }, (_, index) => [`q${index}`, load] as const));
  const admission: Admission = { at: clock.now(), validForMs: 5_000, queues, drops: [drop] };
  await writeAdmission(api.coordinator, admission, []);
  await clock.advance(10);
}

async function submitMany(account: TestAccount, count: number) {
  const tasks = Array.from({ length: count }, () => aSubmission());
  const { results } = await api.tasks.submitTasks({ tasks }, account.call());
  return results.flatMap(({ outcome }) => (outcome === undefined ? [] : [outcome]));
}
