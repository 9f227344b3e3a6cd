// The throttle on the way of a submission: through the calls, to the store, from the document in etcd.
import { type Admission, writeAdmission } from "@sluice/coordination";
import type { AccountId } from "@sluice/core";
import { FakeClock } from "@sluice/core/testing";
import type { TaskSubmission } from "@sluice/protocol";
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
import { looksPerSecond } from "./known-tasks.ts";

const clock = new FakeClock();
let store: Store;
/** How many keys were looked up in each question. */
let looks: number[];
let api: TestApi;
let noisy: TestAccount;
let good: TestAccount;

beforeAll(async () => {
  const real = await openPglite({ dataDir: "memory", inWorker: false, clock });
  const known: Store["tasks"]["known"] = (keys) => {
    looks.push(keys.length);
    return real.tasks.known(keys);
  };
  store = intercept(real, { tasks: intercept(real.tasks, { known }) });
  api = startTestApi({ store, clock });
});
beforeEach(async () => {
  looks = [];
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

test("nothing is looked up while nothing is refused, nor for submissions without a token", async () => {
  await submitBatch(noisy, repeatable(20));
  expect(looks).toEqual([]);
  await refuse(noisy.accountId);
  await submitMany(noisy, 50);
  expect(looks).toEqual([]);
});

test("repetitions are answered from the store, a whole message with one question, whoever is refused", async () => {
  const tasks = repeatable(500);
  await submitBatch(noisy, tasks);
  await refuse(noisy.accountId);
  await submitMany(noisy, 1);
  const answers = await submitBatch(noisy, [...tasks, ...repeatable(10)]);
  expect(reasonsOf(answers)).toEqual([...new Array(500).fill("repeated"), ...new Array(10).fill("THROTTLED")]);
  expect(looks).toEqual([510]);
});

test("repetitions are answered from the store while the queue takes nothing from anybody", async () => {
  await using small = startTestApi({ store, clock, config: { queueBacklogMax: 100 } });
  const tasks = repeatable(50);
  await submitBatch(noisy, tasks, small);
  await writeAdmission(small.coordinator, { ...admissionOf(100), drops: [] }, []);
  await clock.advance(10);
  const answers = await submitBatch(noisy, [...tasks, ...repeatable(1)], small);
  expect(reasonsOf(answers)).toEqual([...new Array(50).fill("repeated"), "THROTTLED"]);
});

test("repetitions are answered from the store while the account has as many tasks as it may", async () => {
  await using small = startTestApi({ store, clock, config: { waitingTasksMax: 40 } });
  const tasks = repeatable(40);
  await submitBatch(noisy, tasks, small);
  const answers = await submitBatch(noisy, [...tasks, ...repeatable(1)], small);
  expect(reasonsOf(answers)).toEqual([...new Array(40).fill("repeated"), "TOO_MANY_WAITING_TASKS"]);
});

test("whoever is refused so much that not all is looked up is not told that nothing was submitted", async () => {
  const [mine, theirs] = [repeatable(50), repeatable(50)];
  await submitBatch(noisy, mine);
  await submitBatch(good, theirs);
  await refuse(noisy.accountId, good.accountId);
  await submitMany(noisy, 1);
  await submitMany(good, 1);

  const flood = reasonsOf(await submitBatch(noisy, repeatable(looksPerSecond + 10)));
  expect(flood.filter((reason) => reason === "THROTTLED")).toHaveLength(looksPerSecond);
  expect(flood.filter((reason) => reason === "SERVER_BUSY")).toHaveLength(10);

  const repeated = await submitBatch(noisy, [...mine, aSubmission({ taskId: "without-a-token" })]);
  expect(reasonsOf(repeated)).toEqual([...new Array(50).fill("SERVER_BUSY"), "THROTTLED"]);
  expect(repeated[0]).toMatchObject({ value: { retryAfterMs: expect.any(Number) } });
  await expect(api.tasks.submitTask({ task: mine[0] }, noisy.call())).rejects.toMatchObject({
    ...{ code: "unavailable", reason: "SERVER_BUSY", retryAfterMs: expect.any(Number) },
    message: expect.stringMatching(/submit it again in \d+ s with the same id and token/),
  });
  expect(reasonsOf(await submitBatch(good, theirs))).toEqual(new Array(50).fill("repeated"));

  await clock.advance(1_000);
  await refuse(noisy.accountId);
  await submitMany(noisy, 1);
  expect(reasonsOf(await submitBatch(noisy, mine))).toEqual(new Array(50).fill("repeated"));
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

async function refuse(...accountIds: readonly AccountId[]): Promise<void> {
  const share = { functionName: undefined, queue: undefined, probability: 1, share: 1, rate: 50 };
  const drops = accountIds.map((accountId) => ({ accountId, ...share }));
  await writeAdmission(api.coordinator, { ...admissionOf(50_000), drops }, []);
  await clock.advance(10);
}

/** Of shared queues, all equally full. */
function admissionOf(waiting: number): Omit<Admission, "drops"> {
  const load = { waiting, ageMs: 0, drainPerSecond: 100, retryAfterMs: 10_000, othersDrop: 0 };
  const queues = new Map(Array.from({ length: 8 }, (_, index) => [`q${index}`, load] as const));
  return { at: clock.now(), validForMs: 5_000, queues };
}

async function submitMany(account: TestAccount, count: number) {
  return await submitBatch(
    account,
    Array.from({ length: count }, () => aSubmission()),
  );
}

let lastToken = 0;
/** New ones, with tokens. */
function repeatable(count: number): TaskSubmission[] {
  return Array.from({ length: count }, () => {
    lastToken += 1;
    return aSubmission({ taskId: `t${lastToken}`, submissionToken: `token ${lastToken}` });
  });
}

async function submitBatch(account: TestAccount, tasks: readonly TaskSubmission[], { tasks: calls } = api) {
  const { results } = await calls.submitTasks({ tasks: [...tasks] }, account.call());
  return results.flatMap(({ outcome }) => (outcome === undefined ? [] : [outcome]));
}

function reasonsOf(outcomes: Awaited<ReturnType<typeof submitBatch>>): string[] {
  return outcomes.map((outcome) => {
    if (outcome.$case === "rejected") return outcome.value.reason;
    return outcome.$case === "accepted" && outcome.value.repeated ? "repeated" : outcome.$case;
  });
}
