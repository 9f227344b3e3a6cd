import { AppError, FunctionName, homeOf } from "@sluice/core";
import { FakeClock } from "@sluice/core/testing";
import { Priority, type SubmitResult, TaskStatus, TaskSubmission } from "@sluice/protocol";
import { accountTopic, functionTopic } from "@sluice/queue";
import type { NewTask, Store } from "@sluice/store";
import { openPglite } from "@sluice/store/pglite";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { intercept } from "../testing/intercept.ts";
import {
  aFunction,
  anAccountWithEcho,
  aSubmission,
  startTestApi,
  type TestAccount,
  type TestApi,
} from "../testing/test-api.ts";

const clock = new FakeClock();
let store: Store;
let api: TestApi;
let account: TestAccount;
/** Every row that was inserted. */
let inserted: NewTask[];

beforeAll(async () => {
  const real = await openPglite({ dataDir: "memory", inWorker: false, clock });
  const tasks = intercept(real.tasks, {
    insert: (rows) => {
      inserted.push(...rows);
      return real.tasks.insert(rows);
    },
  });
  store = intercept(real, { tasks });
  api = startTestApi({ store, clock });
});
beforeEach(async () => {
  inserted = [];
  account = await anAccountWithEcho(api, store);
});
afterAll(async () => {
  await api.stop();
  await store[Symbol.asyncDispose]();
});

const submitTask = (task: TaskSubmission) => api.tasks.submitTask({ task }, account.call());
async function submitTasks(...tasks: TaskSubmission[]): Promise<SubmitResult[]> {
  return (await api.tasks.submitTasks({ tasks }, account.call())).results;
}
const get = (taskId: string) => api.tasks.getTask({ function: "echo", taskId }, account.call());
const outcomes = (results: readonly SubmitResult[]) => results.map(({ outcome }) => outcome?.$case);

test("a task is in the store, and announced, once it was accepted", async () => {
  const { taskId } = await submitTask(aSubmission({ taskId: "first", priority: Priority.HIGH }));
  expect(await get(taskId)).toMatchObject({
    taskId: "first",
    status: TaskStatus.ENQUEUED,
    priority: Priority.HIGH,
    attempt: 1,
    payload: Buffer.from("hello"),
  });
  const [row] = inserted;
  await using consumer = await api.queue.open({ queue: row?.queue ?? "", prefix: "", epoch: 1, priority: 1 });
  const [delivery] = await consumer.pull(1, new AbortController().signal);
  expect(delivery?.block).toMatchObject({ accountId: account.accountId, functionName: "echo", lane: row?.lane });
});

test("a submission without an id gets one that clients could have chosen, and no two are the same", async () => {
  const results = await submitTasks(...Array.from({ length: 100 }, () => aSubmission()));
  const ids = results.map(({ outcome }) => (outcome?.$case === "accepted" ? outcome.value.taskId : ""));
  expect(new Set(ids).size).toBe(100);
  for (const id of ids) expect(id).toMatch(/^[A-Za-z_][A-Za-z0-9_-]{0,127}$/);
});

test("an id that is taken is a duplicate and shows the task that has it", async () => {
  await submitTask(aSubmission({ taskId: "taken" }));
  const [result] = await submitTasks(aSubmission({ taskId: "taken", payload: Buffer.from("other") }));
  expect(result?.outcome).toMatchObject({
    $case: "duplicate",
    value: { existing: { taskId: "taken", status: TaskStatus.ENQUEUED, payload: Buffer.alloc(0) } },
  });
  await expect(submitTask(aSubmission({ taskId: "taken" }))).rejects.toMatchObject({
    code: "exists",
    reason: "TASK_EXISTS",
    field: "task.task_id",
  });
  expect((await get("taken")).payload.toString()).toBe("hello");
});

test("the same submission token is answered as accepted, another one as a duplicate", async () => {
  await submitTask(aSubmission({ taskId: "tokened", submissionToken: "one" }));
  const results = await submitTasks(
    aSubmission({ taskId: "tokened", submissionToken: "one" }),
    aSubmission({ taskId: "tokened", submissionToken: "two" }),
    aSubmission({ taskId: "tokened" }),
  );
  expect(outcomes(results)).toEqual(["accepted", "duplicate", "duplicate"]);
  expect(results[0]?.outcome?.value).toEqual({ taskId: "tokened", repeated: true });
  expect(await submitTask(aSubmission({ taskId: "tokened", submissionToken: "one" }))).toEqual({ taskId: "tokened" });
});

test("a token without an id makes the submission repeatable too", async () => {
  const first = await submitTask(aSubmission({ submissionToken: "only a token" }));
  const [again] = await submitTasks(aSubmission({ submissionToken: "only a token" }));
  expect(again?.outcome).toEqual({ $case: "accepted", value: { taskId: first.taskId, repeated: true } });
  const other = await submitTask(aSubmission({ submissionToken: "another token" }));
  expect(other.taskId).not.toBe(first.taskId);
});

test("each task of a batch is answered on its own, in order, with the path of what is wrong", async () => {
  const results = await submitTasks(
    aSubmission({ taskId: "good" }),
    aSubmission({ function: "missing" }),
    aSubmission({ taskId: "good" }),
    aSubmission({ payload: Buffer.alloc(128 * 1024 + 1) }),
    aSubmission({ payload: Buffer.alloc(128 * 1024) }),
  );
  expect(outcomes(results)).toEqual(["accepted", "rejected", "duplicate", "rejected", "accepted"]);
  expect(results[1]?.outcome?.value).toMatchObject({ reason: "FUNCTION_NOT_FOUND", field: "tasks[1].function" });
  expect(results[3]?.outcome?.value).toMatchObject({ reason: "PAYLOAD_TOO_LARGE", field: "tasks[3].payload" });
});

test.each([
  ["function", { function: "" }, "INVALID_FUNCTION_NAME"],
  ["function", { function: "no spaces" }, "INVALID_FUNCTION_NAME"],
  ["function", { function: "nul\0" }, "INVALID_FUNCTION_NAME"],
  ["function", { function: "missing" }, "FUNCTION_NOT_FOUND"],
  ["task_id", { taskId: "1-starts-with-a-digit" }, "INVALID_TASK_ID"],
  ["task_id", { taskId: "a".repeat(129) }, "INVALID_TASK_ID"],
  ["task_id", { taskId: "ü" }, "INVALID_TASK_ID"],
  ["task_id", { taskId: "a\n" }, "INVALID_TASK_ID"],
  ["task_id", { taskId: "\uD800" }, "INVALID_TASK_ID"],
  ["payload", { payload: Buffer.alloc(128 * 1024 + 1) }, "PAYLOAD_TOO_LARGE"],
  ["priority", { priority: 5 as Priority }, "UNKNOWN_PRIORITY"],
  ["priority", { priority: -1 as unknown as Priority }, "UNKNOWN_PRIORITY"],
  ["delay_ms", { delayMs: -1 }, "INVALID_DELAY"],
  ["delay_ms", { delayMs: 0.5 }, "INVALID_DELAY"],
  ["delay_ms", { delayMs: 30 * 86_400_000 + 1 }, "INVALID_DELAY"],
  ["delay_ms", { delayMs: Number.MAX_SAFE_INTEGER + 2 }, "INVALID_DELAY"],
  ["delay_ms", { delayMs: Number.NaN }, "INVALID_DELAY"],
  ["expires_after_ms", { expiresAfterMs: 7 * 86_400_000 + 1 }, "INVALID_EXPIRY"],
  ["expires_after_ms", { expiresAfterMs: -5 }, "INVALID_EXPIRY"],
  ["submission_token", { submissionToken: "t".repeat(129) }, "INVALID_TEXT"],
  ["submission_token", { submissionToken: "nul\0" }, "INVALID_TEXT"],
  ["submission_token", { submissionToken: "half \uDC00 a pair" }, "INVALID_TEXT"],
  ["submission_token", { submissionToken: "was not UTF-8 \uFFFD" }, "INVALID_TEXT"],
])("a wrong %s is refused: %j", async (field, wrong, reason) => {
  const task = aSubmission(wrong);
  const [result] = await submitTasks(task);
  expect(result?.outcome).toMatchObject({ $case: "rejected", value: { reason, field: `tasks[0].${field}` } });
  await expect(submitTask(task)).rejects.toMatchObject({ reason, field: `task.${field}` });
  expect(inserted).toEqual([]);
});

test("bytes that are not UTF-8 arrive as texts that are refused", async () => {
  const bytes = Buffer.from(TaskSubmission.encode(aSubmission({ submissionToken: "token" })).finish());
  bytes[bytes.length - 1] = 0xff;
  const [result] = await submitTasks(TaskSubmission.decode(bytes));
  expect(result?.outcome).toMatchObject({ $case: "rejected", value: { reason: "INVALID_TEXT" } });
});

test("delays beyond 2^31 ms are kept, and delayed tasks are parked instead of announced", async () => {
  const delayMs = 30 * 86_400_000;
  expect(delayMs).toBeGreaterThan(2 ** 31);
  await submitTask(aSubmission({ taskId: "later", delayMs, expiresAfterMs: 5_000 }));
  const task = await get("later");
  expect(task.dueAtMs - task.enqueuedAtMs).toBe(delayMs);
  expect(task.expiresAtMs - task.dueAtMs).toBe(5_000);
  expect(task.parkReason).toBe("delay");
  const [row] = inserted;
  await using consumer = await api.queue.open({ queue: row?.queue ?? "", prefix: "", epoch: 9, priority: 3 });
  expect(await consumer.caughtUpTo()).toBe(Number.POSITIVE_INFINITY);
});

test("without an expiry the function's maximum age holds", async () => {
  await api.functions.createFunction(aFunction("short", { maxAsyncEventAgeInSeconds: 7 }), account.call());
  await submitTask(aSubmission({ function: "short", taskId: "soon" }));
  const task = await api.tasks.getTask({ function: "short", taskId: "soon" }, account.call());
  expect(task.expiresAtMs - task.enqueuedAtMs).toBe(7_000);
});

test("10,000 tasks in a message are answered, 10,001 are refused as a whole", async () => {
  const tasks = Array.from({ length: 10_000 }, (_, index) => aSubmission({ taskId: `bulk_${index}` }));
  const results = await submitTasks(...tasks);
  expect(new Set(outcomes(results))).toEqual(new Set(["accepted"]));
  expect(results[9_999]?.outcome?.value).toMatchObject({ taskId: "bulk_9999" });
  inserted = [];
  const tooMany = submitTasks(...tasks, aSubmission());
  await expect(tooMany).rejects.toMatchObject({ code: "invalid", reason: "TOO_MANY_TASKS", field: "tasks" });
  expect(inserted).toEqual([]);
});

test("an empty batch has an empty answer, a request without a task is refused", async () => {
  expect(await submitTasks()).toEqual([]);
  const nothing = api.tasks.submitTask({ task: undefined }, account.call());
  await expect(nothing).rejects.toMatchObject({ reason: "MISSING_TASK", field: "task" });
});

test("all tasks of a limited account, and of a limited function, are recorded in their home at once", async () => {
  await api.functions.createFunction(aFunction("single", { concurrencyMax: 1 }), account.call());
  const { accountId } = account;
  const limitsOf = (concurrencyMax: number) => ({ concurrencyMax, rateMax: 0 });
  const placed = async () => {
    inserted = [];
    const batch = Array.from({ length: 8 }, (_, index) => aSubmission({ function: index % 2 ? "single" : "echo" }));
    for (const task of batch) await submitTask(task);
    return (name: string) =>
      inserted.filter((row) => row.functionName === name).map(({ queue, lane }) => ({ queue, lane }));
  };
  const homeOfFlow = (name: string, ofAccount: number) =>
    homeOf(
      { accountId, functionName: FunctionName(name) },
      { function: limitsOf(name === "single" ? 1 : 0), account: limitsOf(ofAccount) },
    );

  const before = await placed();
  expect(before("single")).toEqual(new Array(4).fill(homeOfFlow("single", 0)));
  expect(new Set(before("echo").map(({ lane }) => lane)).size).toBe(4);

  await store.accounts.update(accountId, { concurrencyMax: 3 });
  api.signals.send(accountTopic, accountId);
  await clock.settle();
  const after = await placed();
  expect(homeOfFlow("echo", 3)).toEqual(homeOfFlow("single", 3));
  for (const name of ["echo", "single"]) expect(after(name)).toEqual(new Array(4).fill(homeOfFlow(name, 3)));
});

test("the groups of one batch take the lanes in turn", async () => {
  await submitTasks(...Array.from({ length: 4_000 }, () => aSubmission()));
  const lanes = [...new Set(inserted.map(({ lane }) => lane))];
  expect(lanes).toHaveLength(4);
  expect(lanes.map((lane) => (lane - (lanes[0] ?? 0) + 32) % 32)).toEqual([0, 1, 2, 3]);
});

test("an account cannot have more waiting tasks than the limit; others can submit", async () => {
  await using small = startTestApi({ store, clock, config: { waitingTasksMax: 3 } });
  const tasks = Array.from({ length: 5 }, () => aSubmission());
  const { results } = await small.tasks.submitTasks({ tasks }, account.call());
  expect(outcomes(results)).toEqual(["accepted", "accepted", "accepted", "rejected", "rejected"]);
  expect(results[3]?.outcome?.value).toMatchObject({ reason: "TOO_MANY_WAITING_TASKS", retryAfterMs: 5_000 });
  await expect(small.tasks.submitTask({ task: aSubmission() }, account.call())).rejects.toMatchObject({
    code: "exhausted",
    retryAfterMs: 5_000,
  });
  const other = await anAccountWithEcho(small, store);
  expect(await small.tasks.submitTask({ task: aSubmission() }, other.call())).toHaveProperty("taskId");
});

test("a function that was deleted elsewhere is refused after the hint", async () => {
  await submitTask(aSubmission());
  await store.functions.delete({ accountId: account.accountId, functionName: FunctionName("echo") });
  api.signals.send(functionTopic, `${account.accountId}/echo`);
  await clock.settle();
  await expect(submitTask(aSubmission())).rejects.toMatchObject({ reason: "FUNCTION_NOT_FOUND" });
});

test("a function that was deleted elsewhere is refused without a hint when the cache is old", async () => {
  await submitTask(aSubmission());
  await store.functions.delete({ accountId: account.accountId, functionName: FunctionName("echo") });
  await clock.advance(30_000);
  await expect(submitTask(aSubmission())).rejects.toMatchObject({ reason: "FUNCTION_NOT_FOUND" });
});

test("what does not fit into memory waits, and is refused with a delay when it waits too long", async () => {
  await using small = startTestApi({ store: stuck(store), clock, config: { admissionBytesMax: 2_000 } });
  const submit = () =>
    small.tasks.submitTasks({ tasks: [aSubmission({ payload: Buffer.alloc(1_400) })] }, account.call());
  const first = submit();
  const second = submit();
  void first.catch(() => {});
  const refused = expect(second).rejects.toMatchObject({ reason: "SERVER_BUSY", retryAfterMs: 1_000 });
  await clock.advance(1_000);
  await refused;
  release?.();
  await first;
});

test("after the end new submissions are refused as unavailable, and what was recorded is announced", async () => {
  const ending = startTestApi({ store, clock });
  const recording = ending.tasks.submitTask({ task: aSubmission({ taskId: "last" }) }, account.call());
  await clock.settle();
  await ending.stop();
  await recording;
  const [row] = inserted;
  await using consumer = await ending.queue.open({ queue: row?.queue ?? "", prefix: "", epoch: 1, priority: 2 });
  expect(await consumer.pull(1, new AbortController().signal)).toHaveLength(1);
  const late = ending.tasks.submitTask({ task: aSubmission() }, account.call());
  await expect(late).rejects.toMatchObject({ code: "unavailable", reason: "SHUTTING_DOWN" });
});

test("a store that fails leaves the outcome open: the call fails, and a retry with the token finds out", async () => {
  const failing = failingAfterCommit(store);
  await using api = startTestApi({ store: failing, clock });
  const task = aSubmission({ taskId: "unknown", submissionToken: "token" });
  const outcome = api.tasks.submitTask({ task }, account.call());
  await expect(outcome).rejects.toMatchObject({ code: "unavailable", reason: "STORE_UNAVAILABLE" });
  const { results } = await api.tasks.submitTasks({ tasks: [task] }, account.call());
  expect(results[0]?.outcome?.value).toEqual({ taskId: "unknown", repeated: true });
});

let release: (() => void) | undefined;
/** Inserts wait until `release` is called. */
function stuck(real: Store): Store {
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const insert = (rows: readonly NewTask[]) => released.then(() => real.tasks.insert(rows));
  return intercept(real, { tasks: intercept(real.tasks, { insert }) });
}

/** The first insert commits and then fails. */
function failingAfterCommit(real: Store): Store {
  let calls = 0;
  const insert = async (rows: readonly NewTask[]) => {
    const answer = await real.tasks.insert(rows);
    calls += 1;
    if (calls === 1) throw unavailable;
    return answer;
  };
  return intercept(real, { tasks: intercept(real.tasks, { insert }) });
}
const unavailable = new AppError("unavailable", "STORE_UNAVAILABLE", "the connection broke");
