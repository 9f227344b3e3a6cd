// The HTTP API as a caller meets it: real requests to an api-server on the embedded drivers.
import { get } from "node:http";
import { FunctionName, TaskId } from "@sluice/core";
import { FakeClock, seededRandom } from "@sluice/core/testing";
import { ListTasksRequest } from "@sluice/protocol";
import { type HttpApiServer, httpApiServer, silentLogger } from "@sluice/runtime";
import type { Store } from "@sluice/store";
import { openPglite } from "@sluice/store/pglite";
import { Registry } from "prom-client";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createAccessKey } from "../accounts/access-key.ts";
import { defaultApiServerConfig } from "../config.ts";
import { apiServerMetrics } from "../metrics.ts";
import { finishTask } from "../testing/finish-task.ts";
import { signedHeaders } from "../testing/signed.ts";
import { anAccountWithEcho, masterKey, startTestApi, type TestAccount, type TestApi } from "../testing/test-api.ts";
import { createFcApi } from "./fc-api.ts";

const clock = new FakeClock({ wallStart: Date.parse("2026-11-21T00:00:00Z") });
let store: Store;
let api: TestApi;
let server: HttpApiServer;
let account: TestAccount;
let key: { readonly keyId: string; readonly secret: string };

beforeAll(async () => {
  store = await openPglite({ dataDir: "memory", inWorker: false, clock });
  api = startTestApi({ store, clock });
  server = await httpApiServer({ host: "127.0.0.1", port: 0 }, api.fc);
});
beforeEach(async () => {
  account = await anAccountWithEcho(api, store);
  key = await createAccessKey(store, masterKey, { accountId: account.accountId });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await api.stop();
  await store[Symbol.asyncDispose]();
});

interface Ask {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

async function ask(path: string, { method = "GET", headers = {}, body }: Ask = {}) {
  const answer = await fetch(`${server.url}/2023-03-30${path}`, { method, headers, ...(body && { body }) });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, json: text === "" ? undefined : JSON.parse(text) };
}
/** With the account's credential, as curl would send it. */
const bearer = () => ({ authorization: account.authorization });
const invoke = (headers: Record<string, string> = {}, body = "hello", name = "echo") =>
  ask(`/functions/${name}/invocations`, {
    method: "POST",
    headers: { ...bearer(), "x-fc-invocation-type": "Async", ...headers },
    body,
  });
const stored = (taskId: string) =>
  store.tasks.get({ accountId: account.accountId, functionName: FunctionName("echo"), taskId: TaskId(taskId) });

describe("InvokeFunction", () => {
  test("is accepted with the id of the task, and the payload is what was sent", async () => {
    const { status, headers } = await invoke({ "x-fc-async-task-id": "job-1", "x-fc-async-delay": "60" });
    expect(status).toBe(202);
    expect(headers.get("x-fc-async-task-id")).toBe("job-1");
    expect(headers.get("x-fc-request-id")).toMatch(/^1-[0-9a-f]{8}-[0-9a-f]{24}$/);
    const task = await stored("job-1");
    expect(Buffer.from(task?.payload ?? []).toString()).toBe("hello");
    expect(task?.dueAt).toBe(clock.now() + 60_000);
  });

  test("without an id gets one, with and without a body", async () => {
    for (const body of ["x", ""]) {
      const { status, headers } = await invoke({}, body);
      expect(status).toBe(202);
      expect(await stored(headers.get("x-fc-async-task-id") ?? "")).toMatchObject({ status: "Enqueued" });
    }
  });

  test("of an id that is taken is a conflict", async () => {
    await invoke({ "X-Fc-Stateful-Async-Invocation-Id": "taken" });
    const { status, json } = await invoke({ "x-fc-async-task-id": "taken" });
    expect(status).toBe(409);
    expect(json).toMatchObject({ Code: "AsyncTaskAlreadyExists", Reason: "TASK_EXISTS" });
    expect(json.Message).toMatch(/the task taken exists already, its status is Enqueued/);
  });

  test.each<[string, Record<string, string>, string, string]>([
    ["of a function that is not there", {}, "none", "404 FunctionNotFound functionName"],
    ["of a name that none can have", {}, "1%20x", "400 InvalidArgument functionName"],
    ["with an answer at once", { "x-fc-invocation-type": "Sync" }, "echo", "400 InvalidArgument x-fc-invocation-type"],
    ["with a delay that is none", { "x-fc-async-delay": "1.5" }, "echo", "400 InvalidArgument x-fc-async-delay"],
    [
      "with a delay of a month and a second",
      { "x-fc-async-delay": "2592001" },
      "echo",
      "400 InvalidArgument x-fc-async-delay",
    ],
    [
      "with an id that none can have",
      { "x-fc-async-task-id": "1 2" },
      "echo",
      "400 InvalidArgument x-fc-async-task-id",
    ],
    ["of another version", {}, "echo/invocations?qualifier=1#", "404 VersionNotFound qualifier"],
  ])("%s is refused", async (_what, headers, name, expected) => {
    const refusal = await invoke(headers, "x", name);
    const [status, code, field = ""] = expected.split(" ");
    expect(refusal.status).toBe(Number(status));
    expect(refusal.json).toEqual({
      Code: code,
      Message: expect.stringMatching(/\S/),
      RequestId: refusal.headers.get("x-fc-request-id"),
      Reason: expect.stringMatching(/^[A-Z_]+$/),
      Field: field,
    });
    expect(refusal.json.Message).toContain(`${field}: `);
  });

  test("with more than the payload may have is refused", async () => {
    const { status, json } = await invoke({}, "x".repeat(128 * 1024 + 1));
    expect(status).toBe(400);
    expect(json).toMatchObject({ Code: "EntityTooLarge", Reason: "PAYLOAD_TOO_LARGE" });
    expect((await invoke({}, "x".repeat(128 * 1024))).status).toBe(202);
  });

  test("of an account that has as much as it may is told when to come back", async () => {
    await using small = startTestApi({ store, clock, config: { waitingTasksMax: 1 } });
    await using other = await httpApiServer({ host: "127.0.0.1", port: 0 }, small.fc);
    const headers = { ...bearer(), "x-fc-invocation-type": "Async" };
    const once = () =>
      fetch(`${other.url}/2023-03-30/functions/echo/invocations`, { method: "POST", headers, body: "x" });
    expect((await once()).status).toBe(202);
    const refusal = await once();
    expect(refusal.status).toBe(429);
    expect(await refusal.json()).toMatchObject({ Code: "ResourceExhausted", Reason: "TOO_MANY_WAITING_TASKS" });
    const ms = Number(refusal.headers.get("x-acs-retry-after"));
    expect(ms).toBeGreaterThan(0);
    expect(refusal.headers.get("retry-after")).toBe(String(Math.ceil(ms / 1_000)));
  });
});

describe("a signed request", () => {
  const url = () => `${server.url}/2023-03-30/functions/echo/invocations`;
  const post = (headers: Record<string, string>, body: string) =>
    fetch(url(), { method: "POST", headers: { "x-fc-invocation-type": "Async", ...headers }, body });
  const sign = (at = clock.now(), signer = key) =>
    signedHeaders({ method: "POST", url: url(), body: "signed" }, { ...signer, at });

  test("is taken, and repeated as it is it is the same submission", async () => {
    const headers = sign();
    const first = await post(headers, "signed");
    expect(first.status).toBe(202);
    const again = await post(headers, "signed");
    expect(again.status).toBe(202);
    expect(again.headers.get("x-fc-async-task-id")).toBe(first.headers.get("x-fc-async-task-id"));
    const another = await post(sign(), "signed");
    expect(another.headers.get("x-fc-async-task-id")).not.toBe(first.headers.get("x-fc-async-task-id"));
  });

  test.each<[string, () => Record<string, string>, string, string]>([
    [
      "with another secret",
      () => sign(clock.now(), { ...key, secret: "another secret" }),
      "signed",
      "INVALID_SIGNATURE",
    ],
    ["of a key that is not there", () => sign(clock.now(), { ...key, keyId: "none" }), "signed", "INVALID_SIGNATURE"],
    [
      "of one signed with nothing",
      () => sign(clock.now(), { keyId: "none", secret: "" }),
      "signed",
      "INVALID_SIGNATURE",
    ],
    ["without a date", () => sign(Number.NaN), "signed", "REQUEST_EXPIRED"],
    ["with something else", () => ({ authorization: "Basic eDp5" }), "signed", "MALFORMED_CREDENTIAL"],
    ["with another body", () => sign(), "another", "INVALID_SIGNATURE"],
    ["of a quarter of an hour ago", () => sign(clock.now() - 901_000), "signed", "REQUEST_EXPIRED"],
    ["of the future", () => sign(clock.now() + 901_000), "signed", "REQUEST_EXPIRED"],
    ["with half a signature", () => ({ authorization: "ACS3-HMAC-SHA256 x" }), "signed", "MALFORMED_CREDENTIAL"],
    ["without any", () => ({}), "signed", "MISSING_CREDENTIAL"],
    ["with a wrong bearer", () => ({ authorization: `${account.authorization}x` }), "signed", "INVALID_CREDENTIAL"],
  ])("%s is refused, and nothing is submitted", async (_what, headers, body, reason) => {
    const refusal = await post(headers(), body);
    expect(refusal.status).toBe(403);
    expect(await refusal.json()).toMatchObject({ Reason: reason });
    expect((await api.tasks.listTasks(ListTasksRequest.fromPartial({}), account.call())).tasks).toEqual([]);
  });
});

describe("tasks", () => {
  test("are read with what became of them", async () => {
    await invoke({ "x-fc-async-task-id": "whole" });
    const task = await stored("whole");
    if (!task) throw new Error("it was not recorded");
    await finishTask(store, api.signals, task);
    const { status, json } = await ask("/functions/echo/async-tasks/whole?qualifier=LATEST", { headers: bearer() });
    expect(status).toBe(200);
    expect(json).toMatchObject({
      taskId: "whole",
      functionArn: `acs:fc:local:${account.accountId}:functions/echo`,
      status: "Succeeded",
      alreadyRetriedTimes: 0,
      taskPayload: "hello",
      returnPayload: "done",
      taskErrorMessage: "",
    });
    expect(json.events.map(({ eventId, status }: { eventId: number; status: string }) => [eventId, status])).toEqual([
      [1, "Enqueued"],
      [2, "Succeeded"],
    ]);
  });

  test("that have not ended have an end of 0", async () => {
    await invoke({ "x-fc-async-task-id": "early" });
    const { json } = await ask("/functions/echo/async-tasks/early", { headers: bearer() });
    expect(json).toMatchObject({ status: "Enqueued", startedTime: clock.now(), endTime: 0, durationMs: 0 });
  });

  test("of nobody, and of others, are not found", async () => {
    await invoke({ "x-fc-async-task-id": "mine" });
    const other = await anAccountWithEcho(api, store);
    for (const [taskId, authorization] of [
      ["missing", account.authorization],
      ["mine", other.authorization],
    ] as const) {
      const { status, json } = await ask(`/functions/echo/async-tasks/${taskId}`, { headers: { authorization } });
      expect(status).toBe(404);
      expect(json).toMatchObject({ Code: "AsyncTaskNotFound" });
    }
  });

  test("are stopped, and stopping again changes nothing", async () => {
    await invoke({ "x-fc-async-task-id": "unwanted" });
    for (let time = 0; time < 2; time++) {
      const { status, json } = await ask("/functions/echo/async-tasks/unwanted/stop", {
        method: "PUT",
        headers: bearer(),
      });
      expect([status, json]).toEqual([200, {}]);
    }
    expect(await stored("unwanted")).toMatchObject({ stopRequested: true });
  });

  test("are listed page by page, by all that the query says", async () => {
    const from = clock.now();
    for (const taskId of ["a1", "a2", "a3", "b1"]) {
      await invoke({ "x-fc-async-task-id": taskId });
      await clock.advance(1_000);
    }
    const list = async (query: string) => {
      const { status, json } = await ask(`/functions/echo/async-tasks${query}`, { headers: bearer() });
      expect(status).toBe(200);
      return json;
    };
    const idsOf = ({ tasks }: { tasks: { taskId: string }[] }) => tasks.map(({ taskId }) => taskId);
    expect(idsOf(await list(""))).toEqual(["b1", "a3", "a2", "a1"]);
    expect(idsOf(await list("?prefix=a&sortOrderByTime=asc"))).toEqual(["a1", "a2", "a3"]);
    expect(idsOf(await list(`?startedTimeBegin=${from + 1_000}&startedTimeEnd=${from + 2_000}`))).toEqual(["a3", "a2"]);
    expect(idsOf(await list("?status=Running"))).toEqual([]);
    expect(idsOf(await list("?status=Dequeued"))).toEqual([]);
    expect(idsOf(await list("?startedTimeEnd=0"))).toEqual([]);
    expect((await list("?limit=1")).tasks[0]).toMatchObject({ taskId: "b1", taskPayload: "", events: [] });
    const first = await list("?limit=3&includePayload=true");
    expect(first.tasks[0]).toMatchObject({ taskId: "b1", taskPayload: "hello" });
    const last = await list(`?limit=3&includePayload=true&nextToken=${encodeURIComponent(first.nextToken)}`);
    expect(idsOf(last)).toEqual(["a1"]);
    expect(last).not.toHaveProperty("nextToken");
  });

  test.each([
    "status=Dequeued&limit=0",
    "limit=0",
    "limit=101",
    "limit=x",
    "status=Done",
    "sortOrderByTime=up",
    "startedTimeBegin=now",
    "nextToken=x",
  ])("a list by %s is refused", async (query) => {
    const { status, json } = await ask(`/functions/echo/async-tasks?${query}`, { headers: bearer() });
    expect(status).toBe(400);
    expect(json).toMatchObject({ Code: "InvalidArgument" });
  });
});

test("what is not served is answered in JSON, with the words of the service", async () => {
  const { status, json, headers } = await ask("/functions?limit=1", { headers: bearer() });
  expect(status).toBe(400);
  expect(json).toMatchObject({ Code: "PathNotSupported", RequestId: headers.get("x-fc-request-id") });
  expect(json.Message).toBe("'/2023-03-30/functions' against 'GET' is not supported");
  expect(await api.registry.getSingleMetric("sluice_api_server_http_requests_total")?.get()).toMatchObject({
    values: expect.arrayContaining([{ labels: { status: "400" }, value: expect.any(Number) }]),
  });
});

test("a bug is logged, and says nothing of its inside", async () => {
  const lines: unknown[] = [];
  const log = { ...silentLogger, error: (...line: unknown[]) => void lines.push(line) };
  const { failed } = createFcApi({
    ...{ log, random: seededRandom(1), metrics: apiServerMetrics(new Registry()), tasks: api.tasks },
    config: defaultApiServerConfig,
    authenticateHttp: () => Promise.reject(new Error("unused")),
  });
  const { status, body } = failed(new Error("the secret is 42"), { method: "GET", url: "/x" });
  expect([status, JSON.parse(body)]).toMatchObject([500, { Code: "InternalServerError", Reason: "INTERNAL" }]);
  expect(body).not.toContain("42");
  expect(lines).toHaveLength(1);
});

test("without keys only who calls this machine by its own name may call", async () => {
  await using open = startTestApi({ store, clock, config: { auth: "none" } });
  await using other = await httpApiServer({ host: "127.0.0.1", port: 0 }, open.fc);
  const statusOf = (host: string) =>
    new Promise<number>((resolve, reject) => {
      const url = `${other.url}/2023-03-30/functions/echo/async-tasks`;
      get(url, { headers: { host }, agent: false }, (answer) => resolve(answer.resume().statusCode ?? 0)).on(
        "error",
        reject,
      );
    });
  const { port } = other;
  for (const host of ["localhost", `localhost:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`]) {
    expect(await statusOf(host), host).toBe(200);
  }
  for (const host of [`evil.example:${port}`, "localhost.evil.example", "10.0.0.1"]) {
    expect(await statusOf(host), host).toBe(403);
  }
});
