import { AppError } from "@sluice/core";
import { FakeClock } from "@sluice/core/testing";
import {
  type CallContext,
  ClusterServiceService,
  FunctionServiceService,
  ListTasksRequest,
  OperationServiceService,
  StartOperationRequest,
  TaskServiceService,
} from "@sluice/protocol";
import type { Store } from "@sluice/store";
import { openPglite } from "@sluice/store/pglite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { intercept } from "../testing/intercept.ts";
import {
  aFunction,
  all,
  anAccount,
  aSubmission,
  masterKey,
  startTestApi,
  type TestAccount,
  type TestApi,
} from "../testing/test-api.ts";
import { createAccessKey } from "./access-key.ts";

// One row for each method: what it answers to an account that asks for the function and the task of another one, which both
// exist. A service that gets a method fails the test below until it has a row.
const functionNotFound = { code: "not_found", reason: "FUNCTION_NOT_FOUND" };
const taskNotFound = { code: "not_found", reason: "TASK_NOT_FOUND" };
const echoTask = { function: "echo", taskId: "theirs" };

interface Row {
  readonly call: (api: TestApi, context: CallContext) => Promise<unknown>;
  /** What the other account sees instead of the data. */
  readonly foreign: { readonly fails: object } | { readonly answers: unknown };
}

const taskRows: Readonly<Record<keyof typeof TaskServiceService, Row>> = {
  submitTask: {
    call: (api, context) => api.tasks.submitTask({ task: aSubmission({ taskId: "theirs" }) }, context),
    foreign: { fails: functionNotFound },
  },
  submitTasks: {
    call: (api, context) => api.tasks.submitTasks({ tasks: [aSubmission({ taskId: "theirs" })] }, context),
    foreign: { answers: { results: [{ outcome: expect.objectContaining({ $case: "rejected" }) }] } },
  },
  submitStream: {
    call: (api, context) => all(api.tasks.submitStream(oneBatch(), context)),
    foreign: { answers: [{ batchId: 1, results: [{ outcome: expect.objectContaining({ $case: "rejected" }) }] }] },
  },
  getTask: { call: (api, context) => api.tasks.getTask(echoTask, context), foreign: { fails: taskNotFound } },
  listTasks: {
    call: (api, context) => api.tasks.listTasks(ListTasksRequest.fromPartial({ function: "echo" }), context),
    foreign: { answers: { tasks: [], nextPageToken: "" } },
  },
  watchTask: { call: (api, context) => all(api.tasks.watchTask(echoTask, context)), foreign: { fails: taskNotFound } },
  waitTask: {
    call: (api, context) => api.tasks.waitTask({ ...echoTask, timeoutMs: 1 }, context),
    foreign: { fails: taskNotFound },
  },
  stopTask: { call: (api, context) => api.tasks.stopTask(echoTask, context), foreign: { fails: taskNotFound } },
  getTaskLog: {
    call: (api, context) => all(api.tasks.getTaskLog({ ...echoTask, attempt: 0, follow: false }, context)),
    foreign: { fails: taskNotFound },
  },
};

const functionRows: Readonly<Record<keyof typeof FunctionServiceService, Row>> = {
  createFunction: {
    call: (api, context) => api.functions.createFunction(aFunction("echo"), context),
    // Names belong to their account: the same one is free elsewhere, and what is made there is another function.
    foreign: { answers: expect.objectContaining({ name: "echo" }) },
  },
  updateFunction: {
    call: (api, context) => api.functions.updateFunction(aFunction("echo"), context),
    foreign: { fails: functionNotFound },
  },
  getFunction: {
    call: (api, context) => api.functions.getFunction({ name: "echo" }, context),
    foreign: { fails: functionNotFound },
  },
  listFunctions: {
    call: (api, context) => api.functions.listFunctions({ namePrefix: "", pageSize: 0, pageToken: "" }, context),
    foreign: { answers: { functions: [], nextPageToken: "" } },
  },
  deleteFunction: {
    call: (api, context) => api.functions.deleteFunction({ name: "echo" }, context),
    foreign: { fails: functionNotFound },
  },
};

const notAnOperator = { code: "forbidden", reason: "NOT_AN_OPERATOR" };
const partition = { queue: "q0", prefix: "" };

const clusterRows: Readonly<Record<keyof typeof ClusterServiceService, Row>> = {
  getCluster: { call: (api, context) => api.cluster.getCluster({}, context), foreign: { fails: notAnOperator } },
  splitPartition: {
    call: (api, context) => api.cluster.splitPartition(partition, context),
    foreign: { fails: notAnOperator },
  },
  mergePartition: {
    call: (api, context) => api.cluster.mergePartition(partition, context),
    foreign: { fails: notAnOperator },
  },
  getAccount: {
    call: (api, context) => api.cluster.getAccount({ account: "a" }, context),
    foreign: { fails: notAnOperator },
  },
  updateAccount: {
    call: (api, context) => api.cluster.updateAccount({ account: "a", settings: { weight: 2 } }, context),
    foreign: { fails: notAnOperator },
  },
  listAccounts: {
    call: (api, context) => api.cluster.listAccounts({ pageSize: 0, pageToken: "" }, context),
    foreign: { fails: notAnOperator },
  },
  listEvents: {
    call: (api, context) => api.cluster.listEvents({ queue: "", limit: 0 }, context),
    foreign: { fails: notAnOperator },
  },
  listRoutes: { call: (api, context) => api.cluster.listRoutes({}, context), foreign: { fails: notAnOperator } },
  addRoute: {
    call: (api, context) => api.cluster.addRoute({ account: "a", function: "f" }, context),
    foreign: { fails: notAnOperator },
  },
  removeRoute: {
    call: (api, context) => api.cluster.removeRoute({ account: "a", function: "f" }, context),
    foreign: { fails: notAnOperator },
  },
  movePartition: {
    call: (api, context) => api.cluster.movePartition({ ...partition, to: "s1" }, context),
    foreign: { fails: notAnOperator },
  },
};

const operationNotFound = { code: "not_found", reason: "OPERATION_NOT_FOUND" };
const theirs = { target: { $case: "function" as const, value: "echo" }, accountId: "" };

const operationRows: Readonly<Record<keyof typeof OperationServiceService, Row>> = {
  pause: {
    call: (api, context) => api.operations.pause({ target: theirs, reason: "" }, context),
    // Of its own function of this name, which it does not have.
    foreign: { fails: { code: "not_found", reason: "FUNCTION_NOT_FOUND" } },
  },
  resume: {
    call: async (api, context) => {
      const { pauses } = await api.operations.listPauses({}, owner.call());
      return await api.operations.resume({ pauseId: pauses[0]?.pauseId ?? "", target: undefined }, context);
    },
    foreign: { answers: { resumed: false, stillHeld: undefined } },
  },
  listPauses: { call: (api, context) => api.operations.listPauses({}, context), foreign: { answers: { pauses: [] } } },
  startOperation: {
    call: (api, context) =>
      api.operations.startOperation(StartOperationRequest.fromPartial({ kind: 1, filter: {} }), context),
    foreign: { answers: expect.objectContaining({ matched: 0 }) },
  },
  getOperation: {
    call: (api, context) => api.operations.getOperation({ operationId: "theirs" }, context),
    foreign: { fails: operationNotFound },
  },
  listOperations: {
    call: (api, context) => api.operations.listOperations({ pageSize: 0, pageToken: "" }, context),
    foreign: { answers: { operations: [], nextPageToken: "" } },
  },
  cancelOperation: {
    call: (api, context) => api.operations.cancelOperation({ operationId: "theirs" }, context),
    foreign: { fails: operationNotFound },
  },
};

const rows = Object.entries({ ...taskRows, ...functionRows, ...clusterRows, ...operationRows });
let store: Store;
let api: TestApi;
let owner: TestAccount;

beforeAll(async () => {
  const clock = new FakeClock();
  store = await openPglite({ dataDir: "memory", inWorker: false, clock });
  api = startTestApi({ store, clock });
  owner = await anAccount(store);
  await api.functions.createFunction(aFunction("echo"), owner.call());
  await api.tasks.submitTask({ task: aSubmission({ taskId: "theirs" }) }, owner.call());
  await api.operations.pause({ target: theirs, reason: "" }, owner.call());
  const operation = { kind: 1 as const, operationId: "theirs", filter: { tag: "none" } };
  await api.operations.startOperation(StartOperationRequest.fromPartial(operation), owner.call());
});
afterAll(async () => {
  await api.stop();
  await store[Symbol.asyncDispose]();
});

test("every method of every public service has a row", () => {
  const services = [TaskServiceService, FunctionServiceService, ClusterServiceService, OperationServiceService];
  const methods = services.flatMap((service) => Object.keys(service));
  expect(rows.map(([method]) => method).sort()).toEqual(methods.sort());
});

describe.each(rows)("%s", (_method, { call, foreign }) => {
  test("shows another account nothing and changes nothing of the owner's", async () => {
    const before = await ownersView();
    const stranger = await anAccount(store);
    if ("fails" in foreign) await expect(call(api, stranger.call())).rejects.toMatchObject(foreign.fails);
    else expect(await call(api, stranger.call())).toEqual(foreign.answers);
    expect(await ownersView()).toEqual(before);
  });

  test.each([
    ["no credential", () => undefined, "MISSING_CREDENTIAL"],
    ["a wrong secret", () => `${owner.authorization.slice(0, -1)}!`, "INVALID_CREDENTIAL"],
    ["an unknown key", () => "Bearer nobody:has-this-key", "INVALID_CREDENTIAL"],
    ["the key of another", () => owner.authorization.replace(/:.*/, ":another-secret"), "INVALID_CREDENTIAL"],
    ["a malformed credential", () => "Bearer what", "MALFORMED_CREDENTIAL"],
    ["another scheme", () => owner.authorization.replace("Bearer", "Basic"), "MALFORMED_CREDENTIAL"],
    ["an endless secret", () => `Bearer a:${"x".repeat(10_000)}`, "MALFORMED_CREDENTIAL"],
  ])("is refused with %s", async (_name, authorization, reason) => {
    const value = authorization();
    const headers: Record<string, string> = value === undefined ? {} : { authorization: value };
    const context = { signal: new AbortController().signal, headers };
    const error = await call(api, context).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(AppError);
    expect(error).toMatchObject({ code: "unauthenticated", reason });
  });
});

test("a key that is disabled or deleted is believed until the cache is old, a new one at once", async () => {
  const clock = new FakeClock();
  const keys = new Map<string, { readonly enabled: boolean }>();
  const accounts = intercept(store.accounts, {
    key: async (keyId) => {
      const key = await store.accounts.key(keyId);
      return key && { ...key, ...keys.get(keyId) };
    },
  });
  await using other = startTestApi({ store: intercept(store, { accounts }), clock });
  const context = (authorization: string) => ({ signal: new AbortController().signal, headers: { authorization } });
  const list = (authorization: string) =>
    other.functions.listFunctions({ namePrefix: "", pageSize: 0, pageToken: "" }, context(authorization));
  await expect(list("Bearer late:12345678")).rejects.toMatchObject({ reason: "INVALID_CREDENTIAL" });
  await createAccessKey(store, masterKey, { accountId: owner.accountId, keyId: "late", secret: "12345678" });
  expect((await list("Bearer late:12345678")).functions).toHaveLength(1);
  keys.set("late", { enabled: false });
  await clock.advance(29_000);
  expect((await list("Bearer late:12345678")).functions).toHaveLength(1);
  await clock.advance(1_000);
  await expect(list("Bearer late:12345678")).rejects.toMatchObject({ reason: "INVALID_CREDENTIAL" });
});

test("creating the same key again is no failure; another secret under its id is", async () => {
  const key = { accountId: owner.accountId, keyId: "again", secret: "the-secret-of-it" };
  expect(await createAccessKey(store, masterKey, key)).toMatchObject({ created: true });
  expect(await createAccessKey(store, masterKey, key)).toMatchObject({ created: false });
  const another = createAccessKey(store, masterKey, { ...key, secret: "another-secret" });
  await expect(another).rejects.toMatchObject({ reason: "ACCESS_KEY_EXISTS" });
  const malformed = createAccessKey(store, masterKey, { ...key, keyId: "a:b" });
  await expect(malformed).rejects.toMatchObject({ reason: "INVALID_ACCESS_KEY_ID" });
  const short = createAccessKey(store, masterKey, { ...key, secret: "short" });
  await expect(short).rejects.toMatchObject({ reason: "INVALID_ACCESS_KEY_SECRET" });
});

test("without authentication every call acts for one local account", async () => {
  await using open = startTestApi({ store, clock: new FakeClock(), config: { auth: "none" } });
  const context = { signal: new AbortController().signal };
  await open.functions.createFunction(aFunction("mine"), context);
  const { functions } = await open.functions.listFunctions({ namePrefix: "", pageSize: 0, pageToken: "" }, context);
  expect(functions.map(({ name }) => name)).toEqual(["mine"]);
});

async function ownersView() {
  return {
    task: await api.tasks.getTask(echoTask, owner.call()),
    echo: await api.functions.getFunction({ name: "echo" }, owner.call()),
    tasks: await api.tasks.listTasks(ListTasksRequest.fromPartial({}), owner.call()),
    pauses: await api.operations.listPauses({}, owner.call()),
    operations: await api.operations.listOperations({ pageSize: 0, pageToken: "" }, owner.call()),
  };
}

async function* oneBatch() {
  yield { batchId: 1, tasks: [aSubmission({ taskId: "theirs" })] };
}
