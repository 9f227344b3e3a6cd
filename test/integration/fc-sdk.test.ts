// The official SDK of Function Compute, unmodified, with an instance of Sluice as its endpoint.
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import type * as Sdk from "@alicloud/fc20230330";
import type { $OpenApiUtil as OpenApiUtil } from "@alicloud/openapi-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { functionZip } from "./function-zip.ts";
import { preparedDataDir, type StandaloneProcess, startStandalone } from "./standalone-process.ts";

// They are CommonJS, of which a dynamic name is all that an import would see.
const require = createRequire(import.meta.url);
const fc: typeof Sdk.default = require("@alicloud/fc20230330");
const { $OpenApiUtil }: { $OpenApiUtil: typeof OpenApiUtil } = require("@alicloud/openapi-core");

type Client = InstanceType<typeof fc.default>;

const eventually = { timeout: 60_000, interval: 50 };
let folder: string;
let server: StandaloneProcess;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "sluice-test-"));
  server = await startStandalone(await preparedDataDir(folder));
  await using client = server.client();
  const code = `exports.handler = async (event, context) => {
    if (event.toString() === "hang") await new Promise(() => {});
    return "Hello, " + event;
  };`;
  const settings = { runtime: "nodejs20", handler: "index.handler", timeoutSeconds: 600 };
  await client.functions.deploy({ name: "hello", settings, codeZip: await functionZip({ "index.js": code }) });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

function sdk(secret = server.profile.accessKeySecret): Client {
  const config = new $OpenApiUtil.Config({
    accessKeyId: server.profile.accessKeyId,
    accessKeySecret: secret,
    endpoint: new URL(server.fcUrl).host,
    protocol: "http",
    readTimeout: 60_000,
    connectTimeout: 60_000,
  });
  return new fc.default(config as never);
}

function invoke(client: Client, taskId: string | undefined, payload: string) {
  const request = new fc.InvokeFunctionRequest({ body: Readable.from([Buffer.from(payload)]) });
  const headers = new fc.InvokeFunctionHeaders({
    xFcInvocationType: "Async",
    ...(taskId !== undefined && { xFcAsyncTaskId: taskId }),
  });
  return client.invokeFunctionWithOptions("hello", request, headers, {} as never);
}

async function taskOf(client: Client, taskId: string) {
  const { body } = await client.getAsyncTask("hello", taskId, new fc.GetAsyncTaskRequest({}));
  return body as Sdk.AsyncTask;
}

test("submits a task, and reads what became of it", async () => {
  const client = sdk();
  const { statusCode, headers } = await invoke(client, undefined, "world");
  expect(statusCode).toBe(202);
  const taskId = headers?.["x-fc-async-task-id"] ?? "";
  await expect.poll(async () => (await taskOf(client, taskId)).status, eventually).toBe("Succeeded");
  const task = await taskOf(client, taskId);
  expect(task).toMatchObject({ taskId, taskPayload: "world", returnPayload: "Hello, world", alreadyRetriedTimes: 0 });
  expect(task.events?.map(({ status }) => status)).toEqual(["Enqueued", "Dequeued", "Running", "Succeeded"]);
});

test("hears that an id is taken, that a task is not there, and that its secret is wrong", async () => {
  const client = sdk();
  await invoke(client, "job-1", "world");
  await expect(invoke(client, "job-1", "world")).rejects.toMatchObject({
    statusCode: 409,
    code: "AsyncTaskAlreadyExists",
  });
  await expect(taskOf(client, "missing")).rejects.toMatchObject({ statusCode: 404, code: "AsyncTaskNotFound" });
  await expect(taskOf(sdk("another secret"), "job-1")).rejects.toMatchObject({
    statusCode: 403,
    code: "SignatureNotMatch",
  });
});

test("stops a task, and lists tasks by what they do", async () => {
  const client = sdk();
  await invoke(client, "endless", "hang");
  await expect.poll(async () => (await taskOf(client, "endless")).status, eventually).toBe("Running");
  await client.stopAsyncTask("hello", "endless", new fc.StopAsyncTaskRequest({}));
  await expect.poll(async () => (await taskOf(client, "endless")).status, eventually).toBe("Stopped");
  const { body } = await client.listAsyncTasks(
    "hello",
    new fc.ListAsyncTasksRequest({
      status: "Stopped",
      prefix: "end",
      sortOrderByTime: "asc",
      includePayload: true,
      limit: 10,
    }),
  );
  expect(body?.tasks?.map(({ taskId, taskPayload }) => [taskId, taskPayload])).toEqual([["endless", "hang"]]);
});
