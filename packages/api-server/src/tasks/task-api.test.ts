import { FunctionName, type Task as StoredTask, TaskId } from "@sluice/core";
import { FakeClock } from "@sluice/core/testing";
import { ListTasksRequest, LogStream, type Task, TaskOrder, TaskStatus } from "@sluice/protocol";
import { markedTopic } from "@sluice/queue";
import type { Store } from "@sluice/store";
import { openPglite } from "@sluice/store/pglite";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { finishTask, settle, startAttempt } from "../testing/finish-task.ts";
import {
  aFunction,
  all,
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

beforeAll(async () => {
  store = await openPglite({ dataDir: "memory", inWorker: false, clock });
  api = startTestApi({ store, clock });
});
beforeEach(async () => {
  account = await anAccountWithEcho(api, store);
});
afterAll(async () => {
  await api.stop();
  await store[Symbol.asyncDispose]();
});

async function submit(taskId: string): Promise<{ function: string; taskId: string }> {
  await api.tasks.submitTask({ task: aSubmission({ taskId }) }, account.call());
  return { function: "echo", taskId };
}
async function stored(taskId: string): Promise<StoredTask> {
  const key = { accountId: account.accountId, functionName: FunctionName("echo"), taskId: TaskId(taskId) };
  const task = await store.tasks.get(key);
  if (task === undefined) throw new Error(`there is no task ${taskId}`);
  return task;
}

describe("reading one task", () => {
  test("a finished task shows its result and every step", async () => {
    const named = await submit("whole");
    await finishTask(store, api.signals, await stored("whole"));
    const task = await api.tasks.getTask(named, account.call());
    expect(task).toMatchObject({
      status: TaskStatus.SUCCEEDED,
      result: Buffer.from("done"),
      agentId: "agent-1",
      startedAtMs: 1_000,
    });
    expect(task.events.map(({ eventId, status }) => [eventId, status])).toEqual([
      [1, "Enqueued"],
      [2, "Succeeded"],
    ]);
  });

  test("what is not there is not found, what cannot be there is wrong", async () => {
    const read = (names: { function: string; taskId: string }) => api.tasks.getTask(names, account.call());
    await expect(read({ function: "echo", taskId: "none" })).rejects.toMatchObject({
      code: "not_found",
      reason: "TASK_NOT_FOUND",
      field: "task_id",
    });
    await expect(read({ function: "echo", taskId: "" })).rejects.toMatchObject({ reason: "INVALID_TASK_ID" });
    await expect(read({ function: "nul\0", taskId: "a" })).rejects.toMatchObject({ reason: "INVALID_FUNCTION_NAME" });
  });
});

describe("listing", () => {
  const list = (filter: Partial<ListTasksRequest>) =>
    api.tasks.listTasks(ListTasksRequest.fromPartial(filter), account.call());
  const ids = (tasks: readonly Task[]) => tasks.map(({ taskId }) => taskId);
  let start: number;

  beforeEach(async () => {
    await api.functions.createFunction(aFunction("other"), account.call());
    start = clock.now();
    for (const taskId of ["a_1", "a_2", "b_1"]) {
      await submit(taskId);
      await clock.advance(10);
    }
    await api.tasks.submitTask({ task: aSubmission({ function: "other", taskId: "a_3" }) }, account.call());
    await settle(store, await stored("a_2"));
  });

  test("tasks come newest first, or oldest first if asked", async () => {
    expect(ids((await list({})).tasks)).toEqual(["a_3", "b_1", "a_2", "a_1"]);
    expect(ids((await list({ order: TaskOrder.ENQUEUED_ASC })).tasks)).toEqual(["a_1", "a_2", "b_1", "a_3"]);
  });

  test.each([
    ["function", () => ({ function: "other" }), ["a_3"]],
    ["status", () => ({ status: TaskStatus.SUCCEEDED }), ["a_2"]],
    ["prefix", () => ({ taskIdPrefix: "a_" }), ["a_3", "a_2", "a_1"]],
    ["start", () => ({ enqueuedFromMs: start + 10 }), ["a_3", "b_1", "a_2"]],
    ["end", () => ({ enqueuedUntilMs: start + 10 }), ["a_1"]],
    ["window", () => ({ enqueuedFromMs: start + 10, enqueuedUntilMs: start + 30 }), ["b_1", "a_2"]],
    ["function and prefix", () => ({ function: "echo", taskIdPrefix: "a_" }), ["a_2", "a_1"]],
    ["function, status and prefix", () => ({ function: "echo", status: 1, taskIdPrefix: "a_" }), ["a_1"]],
    ["status and window", () => ({ status: 1, enqueuedFromMs: start + 10 }), ["a_3", "b_1"]],
    ["everything", () => ({ function: "echo", status: 5, taskIdPrefix: "a", enqueuedFromMs: start }), ["a_2"]],
  ] as const)("filters combine: %s", async (_name, filter, expected) => {
    expect(ids((await list(filter() as Partial<ListTasksRequest>)).tasks)).toEqual(expected);
  });

  test("pages follow each other without gaps or repeats, and the last one has no token", async () => {
    const seen: string[] = [];
    let pageToken = "";
    do {
      const page = await list({ pageSize: 1, pageToken });
      seen.push(...ids(page.tasks));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(seen).toEqual(["a_3", "b_1", "a_2", "a_1"]);
    expect((await list({ pageSize: 4 })).nextPageToken).toBe("");
  });

  test("a page token is refused when a filter changed, or by another account", async () => {
    const { nextPageToken: pageToken } = await list({ pageSize: 1, taskIdPrefix: "a_" });
    const foreign = { reason: "INVALID_PAGE_TOKEN", field: "page_token" };
    const changes: Partial<ListTasksRequest>[] = [
      {},
      { taskIdPrefix: "a" },
      { taskIdPrefix: "a_", status: TaskStatus.ENQUEUED },
      { taskIdPrefix: "a_", function: "echo" },
      { taskIdPrefix: "a_", enqueuedFromMs: 1 },
      { taskIdPrefix: "a_", order: TaskOrder.ENQUEUED_ASC },
    ];
    for (const filter of changes) await expect(list({ ...filter, pageToken })).rejects.toMatchObject(foreign);
    expect((await list({ taskIdPrefix: "a_", pageToken, pageSize: 500 })).tasks).toHaveLength(2);
    const other = await anAccountWithEcho(api, store);
    const stolen = ListTasksRequest.fromPartial({ taskIdPrefix: "a_", pageToken });
    await expect(api.tasks.listTasks(stolen, other.call())).rejects.toMatchObject(foreign);
  });

  test("payloads and results come only when asked for, and a page of them fits into a message", async () => {
    expect((await list({ taskIdPrefix: "a_2" })).tasks[0]).toMatchObject({ payload: Buffer.alloc(0), events: [] });
    const [task] = (await list({ taskIdPrefix: "a_2", includePayload: true })).tasks;
    expect([task?.payload.toString(), task?.result.toString()]).toEqual(["hello", "done"]);
    const tasks = Array.from({ length: 40 }, (_, index) =>
      aSubmission({ taskId: `large_${index}`, payload: Buffer.alloc(128 * 1024) }),
    );
    for (let from = 0; from < 40; from += 20) {
      await api.tasks.submitTasks({ tasks: tasks.slice(from, from + 20) }, account.call());
    }
    const first = await list({ taskIdPrefix: "large_", includePayload: true, pageSize: 500 });
    expect(first.tasks).toHaveLength(24);
    const pageToken = first.nextPageToken;
    const second = await list({ taskIdPrefix: "large_", includePayload: true, pageSize: 500, pageToken });
    expect(new Set(ids([...first.tasks, ...second.tasks])).size).toBe(40);
  });

  test.each([
    ["page_size", { pageSize: 501 }, "INVALID_PAGE_SIZE"],
    ["page_size", { pageSize: -1 }, "INVALID_PAGE_SIZE"],
    ["status", { status: 10 as TaskStatus }, "UNKNOWN_STATUS"],
    ["order", { order: 3 as TaskOrder }, "UNKNOWN_ORDER"],
    ["enqueued_from_ms", { enqueuedFromMs: -1 }, "INVALID_TIME"],
    ["enqueued_until_ms", { enqueuedUntilMs: Number.MAX_SAFE_INTEGER }, "INVALID_TIME"],
    ["task_id_prefix", { taskIdPrefix: "a%" }, "INVALID_TASK_ID"],
    ["task_id_prefix", { taskIdPrefix: "a\0" }, "INVALID_TASK_ID"],
    ["function", { function: "a/b" }, "INVALID_FUNCTION_NAME"],
    ["page_token", { pageToken: "bogus" }, "INVALID_PAGE_TOKEN"],
  ])("a wrong %s is refused", async (field, filter, reason) => {
    await expect(list(filter)).rejects.toMatchObject({ code: "invalid", reason, field });
  });
});

describe("watching", () => {
  test("a watcher sees the task now and after each change, and ends with the final one", async () => {
    const watching = all(api.tasks.watchTask(await submit("seen"), account.call()));
    await clock.settle();
    await startAttempt(store, api.signals, await stored("seen"));
    await clock.settle();
    await finishTask(store, api.signals, await stored("seen"));
    const statuses = (await watching).map(({ status }) => status);
    expect(statuses).toEqual([TaskStatus.ENQUEUED, TaskStatus.RUNNING, TaskStatus.SUCCEEDED]);
  });

  test("without a hint the change is seen at the next look", async () => {
    const watching = all(api.tasks.watchTask(await submit("unheard"), account.call()));
    await clock.settle();
    await settle(store, await stored("unheard"));
    await clock.advance(5_000);
    expect((await watching).at(-1)?.status).toBe(TaskStatus.SUCCEEDED);
  });

  test("a final task is answered once", async () => {
    const named = await submit("past");
    await settle(store, await stored("past"));
    expect(await all(api.tasks.watchTask(named, account.call()))).toHaveLength(1);
    expect(await api.tasks.waitTask({ ...named, timeoutMs: 0 }, account.call())).toMatchObject({ taskId: "past" });
  });

  test("waiting ends with the final task, or with the task as it is after the time-out", async () => {
    const named = await submit("waited");
    const early = api.tasks.waitTask({ ...named, timeoutMs: 2_000 }, account.call());
    const patient = api.tasks.waitTask({ ...named, timeoutMs: 0 }, account.call());
    await clock.advance(2_000);
    expect((await early).status).toBe(TaskStatus.ENQUEUED);
    await finishTask(store, api.signals, await stored("waited"));
    expect((await patient).status).toBe(TaskStatus.SUCCEEDED);
    const endless = api.tasks.waitTask({ ...named, timeoutMs: 3_600_001 }, account.call());
    await expect(endless).rejects.toMatchObject({ reason: "INVALID_TIMEOUT", field: "timeout_ms" });
  });

  test("a caller that gives up leaves no watch and no timer behind", async () => {
    const named = await submit("left");
    const timers = clock.pendingTimers;
    const caller = new AbortController();
    const watching = all(api.tasks.watchTask(named, account.call(caller.signal)));
    const waiting = api.tasks.waitTask({ ...named, timeoutMs: 0 }, account.call(caller.signal));
    await clock.settle();
    expect(await watchers()).toBe(2);
    caller.abort();
    expect(await watching).toHaveLength(1);
    await waiting;
    expect([await watchers(), clock.pendingTimers]).toEqual([0, timers]);
  });

  test("more watchers than the limit are refused", async () => {
    await using small = startTestApi({ store, clock, config: { watchersMax: 1 } });
    const named = await submit("popular");
    const caller = new AbortController();
    const first = all(small.tasks.watchTask(named, account.call(caller.signal)));
    await clock.settle();
    await expect(all(small.tasks.watchTask(named, account.call()))).rejects.toMatchObject({
      code: "exhausted",
      reason: "TOO_MANY_WATCHERS",
      retryAfterMs: 5_000,
    });
    caller.abort();
    await first;
  });

  test("the end of the server tells watchers to go on elsewhere", async () => {
    const ending = startTestApi({ store, clock });
    const watching = all(ending.tasks.watchTask(await submit("cut"), account.call()));
    void watching.catch(() => {});
    await clock.settle();
    await ending.stop();
    await expect(watching).rejects.toMatchObject({ code: "unavailable", reason: "SHUTTING_DOWN" });
  });
});

describe("stopping", () => {
  test("a waiting task is stopping at once, and its owner gets a hint", async () => {
    const named = await submit("halt");
    const { queue, lane, seq } = await stored("halt");
    const hints: string[] = [];
    const quiet = api.signals.listen(markedTopic(queue), (payload) => hints.push(payload));
    expect(await api.tasks.stopTask(named, account.call())).toMatchObject({
      status: TaskStatus.STOPPING,
      stopRequested: true,
    });
    await clock.settle();
    quiet();
    expect(hints.map((hint) => JSON.parse(hint))).toEqual([[{ lane, seq }]]);
    const stopping = ListTasksRequest.fromPartial({ status: TaskStatus.STOPPING });
    expect((await api.tasks.listTasks(stopping, account.call())).tasks).toHaveLength(1);
  });

  test("a final task stays as it is", async () => {
    const named = await submit("done");
    await settle(store, await stored("done"));
    expect(await api.tasks.stopTask(named, account.call())).toMatchObject({
      status: TaskStatus.SUCCEEDED,
      stopRequested: false,
    });
  });
});

describe("logs", () => {
  const write = async (taskId: string, index: number, text: string) => {
    const { seq } = await stored(taskId);
    const piece = { seq, attempt: 1, index, stream: 1, timeMs: 5, data: Buffer.from(text) };
    await api.gateway.putLogs({ joinToken: "a join token", pieces: [piece] }, account.call());
  };
  const read = (taskId: string, options: { attempt?: number; follow?: boolean } = {}) =>
    api.tasks.getTaskLog({ function: "echo", taskId, attempt: 0, follow: false, ...options }, account.call());
  const textOf = async (chunks: AsyncIterable<{ readonly data: Buffer }>) =>
    (await all(chunks)).map(({ data }) => data.toString()).join("");

  test("what was written so far is read in order", async () => {
    await submit("wrote");
    for (let index = 0; index < 300; index++) await write("wrote", index, `${index} `);
    await write("wrote", 7, "a repeated piece");
    expect(await textOf(read("wrote"))).toBe(Array.from({ length: 300 }, (_, index) => `${index} `).join(""));
    const [first] = await all(read("wrote", { attempt: 1 }));
    expect(first).toMatchObject({ attempt: 1, stream: LogStream.STDOUT, timeMs: 5 });
  });

  test("an attempt that was not made yet is not found", async () => {
    await submit("once");
    for (const attempt of [2, -1]) {
      await expect(all(read("once", { attempt }))).rejects.toMatchObject({ reason: "ATTEMPT_NOT_FOUND" });
    }
  });

  test("a follower sees pieces as they come, and those uploaded just after the end", async () => {
    await submit("live");
    await write("live", 0, "one ");
    const following = textOf(read("live", { follow: true }));
    await clock.advance(500);
    await write("live", 1, "two ");
    await clock.advance(500);
    await finishTask(store, api.signals, await stored("live"));
    await clock.advance(1_000);
    await write("live", 2, "three");
    await clock.advance(3_000);
    expect(await following).toBe("one two three");
  });

  test("following a task that ended long ago ends at once", async () => {
    await submit("old");
    await write("old", 0, "all of it");
    await settle(store, await stored("old"));
    await clock.advance(60_000);
    expect(await textOf(read("old", { follow: true }))).toBe("all of it");
  });
});

async function watchers(): Promise<number | undefined> {
  const metric = api.registry.getSingleMetric("sluice_api_server_watchers_calls");
  return (await metric?.get())?.values[0]?.value;
}
