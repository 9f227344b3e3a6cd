import { Client, credentials, Metadata, status } from "@grpc/grpc-js";
import { FakeClock } from "@sluice/core/testing";
import {
  type Api,
  FunctionServiceService,
  ListTasksRequest,
  TaskServiceService,
  TaskStatus,
  TaskSubmission,
} from "@sluice/protocol";
import { changedTopic } from "@sluice/queue";
import { systemClock } from "@sluice/runtime";
import type { Store } from "@sluice/store";
import { openPglite } from "@sluice/store/pglite";
import { afterAll, beforeAll, expect, test } from "vitest";
import { settle } from "./testing/finish-task.ts";
import { intercept } from "./testing/intercept.ts";
import { type Served, serve } from "./testing/served.ts";
import {
  aFunction,
  all,
  anAccount,
  aSubmission,
  startTestApi,
  type TestAccount,
  type TestApi,
} from "./testing/test-api.ts";

let store: Store;
let api: TestApi;
let served: Served;
let tasks: Api<typeof TaskServiceService>;
let functions: Api<typeof FunctionServiceService>;
let account: TestAccount;
const never = { signal: new AbortController().signal };

beforeAll(async () => {
  store = await openPglite({ dataDir: "memory", inWorker: false });
  api = startTestApi({ store, clock: systemClock });
  served = await serve(api);
  account = await anAccount(store);
  tasks = served.client(TaskServiceService, account.authorization);
  functions = served.client(FunctionServiceService, account.authorization);
  await functions.createFunction(aFunction("echo"), never);
});
afterAll(async () => {
  await served[Symbol.asyncDispose]();
  await api.stop();
  await store[Symbol.asyncDispose]();
});

test("a task goes in, is watched, and its result comes out", async () => {
  const { taskId } = await tasks.submitTask({ task: aSubmission({ taskId: "wired" }) }, never);
  const named = { function: "echo", taskId };
  const [row] = await store.tasks.list({
    accountId: account.accountId,
    order: "newest",
    limit: 1,
    includePayload: false,
  });
  const seen: TaskStatus[] = [];
  for await (const task of tasks.watchTask(named, never)) {
    seen.push(task.status);
    if (seen.length === 1 && row !== undefined) {
      await settle(store, row);
      api.signals.send(changedTopic, String(row.seq));
    }
  }
  expect(seen).toEqual([TaskStatus.ENQUEUED, TaskStatus.SUCCEEDED]);
});

test("many batches go through one stream, each answered under its id", async () => {
  async function* batches() {
    for (let batchId = 1; batchId <= 30; batchId++) {
      yield {
        batchId,
        tasks: Array.from({ length: 20 }, (_, index) => aSubmission({ taskId: `b${batchId}_${index}` })),
      };
    }
  }
  const answers = await all(tasks.submitStream(batches(), never));
  expect(answers.map(({ batchId }) => batchId).sort((a, b) => a - b)).toEqual(
    Array.from({ length: 30 }, (_, i) => i + 1),
  );
  const outcomes = answers.flatMap(({ results }) => results.map(({ outcome }) => outcome?.$case));
  expect(outcomes).toEqual(Array(600).fill("accepted"));
});

test("errors keep their reason and field on the wire", async () => {
  const wrong = tasks.submitTask({ task: aSubmission({ function: "missing" }) }, never);
  await expect(wrong).rejects.toMatchObject({
    code: "not_found",
    reason: "FUNCTION_NOT_FOUND",
    field: "task.function",
  });
  const anonymous = tasks.getTask({ function: "echo", taskId: "a" }, { ...never, headers: { authorization: "" } });
  await expect(anonymous).rejects.toMatchObject({ code: "unauthenticated", reason: "MISSING_CREDENTIAL" });
});

test("a message beyond 4 MiB is refused, a zip of the same size is not", async () => {
  const large = { tasks: Array.from({ length: 40 }, () => aSubmission({ payload: Buffer.alloc(120 * 1024) })) };
  await expect(tasks.submitTasks(large, never)).rejects.toMatchObject({ reason: "MESSAGE_TOO_LARGE" });
  const codeZip = Buffer.alloc(6 * 1024 * 1024, "code");
  expect(await functions.createFunction({ ...aFunction("large"), codeZip }, never)).toMatchObject({ name: "large" });
});

test("invalid UTF-8, numbers beyond 2^53 and what is no message at all are refused as the caller's mistake", async () => {
  const good = TaskSubmission.encode(aSubmission({ submissionToken: "token" })).finish();
  const badText = Buffer.from(good);
  badText[badText.length - 1] = 0xff;
  expect(await raw(wrapped(badText))).toMatchObject({
    code: status.INVALID_ARGUMENT,
    details: expect.stringContaining("UTF-8"),
  });
  // Field 5, delay_ms, with the largest int64.
  const hugeDelay = Buffer.concat([good, Buffer.from([0x28, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f])]);
  expect(await raw(wrapped(hugeDelay))).toMatchObject({
    code: status.INVALID_ARGUMENT,
    details: expect.stringContaining("cannot be decoded"),
  });
  expect(await raw(Buffer.from([0x0a, 0x7f, 0x01]))).toMatchObject({ code: status.INVALID_ARGUMENT });
});

test("fields that the server does not know are ignored", async () => {
  const unknownField = Buffer.from([0xa2, 0x06, 0x03, 0x61, 0x62, 0x63]);
  const task = Buffer.concat([TaskSubmission.encode(aSubmission({ taskId: "newer" })).finish(), unknownField]);
  expect(await raw(wrapped(task))).toBeUndefined();
  expect(await tasks.getTask({ function: "echo", taskId: "newer" }, never)).toMatchObject({ taskId: "newer" });
});

test("a list of many tasks fits into what a client accepts", async () => {
  const page = await tasks.listTasks(ListTasksRequest.fromPartial({ pageSize: 500 }), never);
  expect(page.tasks).toHaveLength(500);
  expect(page.nextPageToken).not.toBe("");
});

test("reflection names the public services and no internal one", async () => {
  const { listServicesResponse } = await served.reflect({ listServices: "" });
  expect(listServicesResponse?.service.map(({ name }) => name).sort()).toEqual([
    "sluice.v1.ClusterService",
    "sluice.v1.FunctionService",
    "sluice.v1.OperationService",
    "sluice.v1.TaskService",
  ]);
  const { fileDescriptorResponse } = await served.reflect({ fileContainingSymbol: "sluice.v1.TaskService" });
  expect(Buffer.concat(fileDescriptorResponse?.fileDescriptorProto ?? []).toString("latin1")).toContain("SubmitStream");
});

test("health follows the readiness, and says that it ends before calls fail", async () => {
  const clock = new FakeClock();
  let isDown = false;
  const ping = async () => {
    if (isDown) throw new Error("the store is gone");
    return clock.now();
  };
  const fragile = startTestApi({ store: intercept(store, { ping }), clock });
  await using server = await serve(fragile);
  await clock.settle();
  expect(await server.health("")).toBe("SERVING");
  expect(await server.health("sluice.v1.TaskService")).toBe("SERVING");
  expect(await fragile.ready()).toBe(true);
  isDown = true;
  await clock.advance(2_000);
  expect(await server.health("sluice.v1.TaskService")).toBe("NOT_SERVING");
  expect(await fragile.ready()).toBe(false);
  isDown = false;
  await clock.advance(2_000);
  expect(await server.health("")).toBe("SERVING");
  await fragile.stop();
  expect(await server.health("")).toBe("NOT_SERVING");
});

test("calls are counted by method and code", async () => {
  const text = await api.registry.metrics();
  expect(text).toMatch(
    /sluice_api_server_calls_total\{method="\/sluice.v1.TaskService\/SubmitTask",code="not_found"\} 1/,
  );
  expect(text).toMatch(/sluice_api_server_submissions_total\{outcome="accepted"\} \d+/);
  expect(text).toMatch(/sluice_api_server_rejections_total\{reason="FUNCTION_NOT_FOUND"\} 1/);
});

/** A SubmitTaskRequest around an encoded submission. */
function wrapped(task: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([0x0a, task.length]), task]);
}

/** Sends bytes as a SubmitTask request; the error if there is one. */
function raw(request: Buffer): Promise<{ code: status; details: string } | undefined> {
  const client = new Client(served.address, credentials.createInsecure());
  const metadata = new Metadata();
  metadata.set("authorization", account.authorization);
  const same = (bytes: Buffer) => bytes;
  return new Promise((resolve) => {
    client.makeUnaryRequest(TaskServiceService.submitTask.path, same, same, request, metadata, (error) => {
      client.close();
      resolve(error ? { code: error.code, details: error.details } : undefined);
    });
  });
}
