import { createHash } from "node:crypto";
import { FunctionName } from "@sluice/core";
import { FakeClock } from "@sluice/core/testing";
import { FunctionSettings } from "@sluice/protocol";
import { functionTopic } from "@sluice/queue";
import { inspectZip } from "@sluice/runtime";
import type { Store } from "@sluice/store";
import { openPglite } from "@sluice/store/pglite";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { aFunction, anAccount, startTestApi, type TestAccount, type TestApi } from "../testing/test-api.ts";
import { codeReasons } from "./code.ts";

const clock = new FakeClock();
let store: Store;
let api: TestApi;
let account: TestAccount;

beforeAll(async () => {
  store = await openPglite({ dataDir: "memory", inWorker: false, clock });
  api = startTestApi({ store, clock });
});
beforeEach(async () => {
  account = await anAccount(store);
});
afterAll(async () => {
  await api.stop();
  await store[Symbol.asyncDispose]();
});

const create = (definition: ReturnType<typeof aFunction>) => api.functions.createFunction(definition, account.call());
const nothing = Buffer.alloc(0);

test("a function is read back as it was created, complete", async () => {
  const created = await create(aFunction("echo", { environment: { variables: { MODE: "fast" } } }));
  const { codeZip } = aFunction("echo");
  expect(created).toMatchObject({
    name: "echo",
    codeSha256: createHash("sha256").update(codeZip).digest("hex"),
    codeBytes: codeZip.length,
    createdAtMs: clock.now(),
    settings: { runtime: "nodejs20", timeoutMs: 60_000, environment: { variables: { MODE: "fast" } } },
  });
  const read = await api.functions.getFunction({ name: "echo" }, account.call());
  expect({ ...read, queue: undefined }).toEqual(created);
});

test("a name is taken until its function is deleted", async () => {
  await create(aFunction("echo"));
  await expect(create(aFunction("echo"))).rejects.toMatchObject({ code: "exists", reason: "FUNCTION_EXISTS" });
  await api.functions.deleteFunction({ name: "echo" }, account.call());
  await expect(api.functions.getFunction({ name: "echo" }, account.call())).rejects.toMatchObject({
    code: "not_found",
    reason: "FUNCTION_NOT_FOUND",
    field: "name",
  });
  await create(aFunction("echo"));
});

test("an update changes what it names, raises the revision and tells everybody", async () => {
  const hints: string[] = [];
  const quiet = api.signals.listen(functionTopic, (key) => hints.push(key));
  const initializer = { handler: "index.init", timeoutMs: 0 };
  const created = await create(aFunction("echo", { initializer }));
  const updated = await api.functions.updateFunction(
    { name: "echo", settings: FunctionSettings.fromPartial({ memoryMb: 128 }), codeZip: nothing },
    account.call(),
  );
  expect(updated.revision).toBeGreaterThan(created.revision);
  expect(updated.codeSha256).toBe(created.codeSha256);
  expect(updated.settings).toMatchObject({
    memoryMb: 128,
    handler: "index.handler",
    initializer: { timeoutMs: 3_000 },
  });
  const recoded = await api.functions.updateFunction(
    { name: "echo", settings: { initializer: { handler: "", timeoutMs: 0 } }, codeZip: Buffer.from("new code") },
    account.call(),
  );
  expect(recoded.codeSha256).not.toBe(created.codeSha256);
  expect(recoded.settings?.initializer).toBeUndefined();
  await clock.settle();
  quiet();
  expect(hints).toEqual(Array(3).fill(`${account.accountId}/echo`));
});

test("an update without a change, or of nothing, is refused", async () => {
  await create(aFunction("echo"));
  const empty = api.functions.updateFunction({ name: "echo", settings: undefined, codeZip: nothing }, account.call());
  await expect(empty).rejects.toMatchObject({ reason: "NOTHING_TO_CHANGE" });
  const missing = api.functions.updateFunction(aFunction("missing"), account.call());
  await expect(missing).rejects.toMatchObject({ reason: "FUNCTION_NOT_FOUND" });
});

test("functions are listed by name, page after page, under the prefix that the token is bound to", async () => {
  for (const name of ["b_2", "a_1", "b_1", "b_3"]) await create(aFunction(name));
  const list = (namePrefix: string, pageToken = "", pageSize = 2) =>
    api.functions.listFunctions({ namePrefix, pageToken, pageSize }, account.call());
  const first = await list("b_");
  expect(first.functions.map(({ name }) => name)).toEqual(["b_1", "b_2"]);
  const second = await list("b_", first.nextPageToken);
  expect(second).toMatchObject({ functions: [{ name: "b_3" }], nextPageToken: "" });
  await expect(list("", first.nextPageToken)).rejects.toMatchObject({ reason: "INVALID_PAGE_TOKEN" });
  await expect(list("b%")).rejects.toMatchObject({ reason: "INVALID_FUNCTION_NAME", field: "name_prefix" });
  await expect(list("", "", 501)).rejects.toMatchObject({ reason: "INVALID_PAGE_SIZE" });
});

test.each([
  ["name", { name: "1st" }, "INVALID_FUNCTION_NAME"],
  ["name", { name: "a".repeat(65) }, "INVALID_FUNCTION_NAME"],
  ["settings.runtime", { settings: FunctionSettings.fromPartial({ handler: "a.b" }) }, "MISSING_RUNTIME"],
  ["settings.memory_mb", { settings: aFunction("echo", { memoryMb: 63 }).settings }, "INVALID_SETTING"],
  ["code_zip", { codeZip: nothing }, "MISSING_CODE"],
  ["code_zip", { codeZip: Buffer.alloc(1024 * 1024 * 50 + 1) }, "CODE_TOO_LARGE"],
])("a wrong %s is refused and nothing is created", async (field, wrong, reason) => {
  const definition = { ...aFunction("echo"), ...wrong };
  await expect(create(definition)).rejects.toMatchObject({ code: "invalid", reason, field });
  const { functions } = await api.functions.listFunctions(
    { namePrefix: "", pageSize: 0, pageToken: "" },
    account.call(),
  );
  expect(functions).toEqual([]);
});

test.each(Object.entries(codeReasons))("a zip that is refused as %s is refused as %s", async (given, reason) => {
  const refusal = Object.assign(new Error("not this one"), { reason: given });
  await using strict = startTestApi({ store, clock, inspectZip: () => Promise.reject(refusal) });
  const creating = strict.functions.createFunction(aFunction("echo"), account.call());
  await expect(creating).rejects.toMatchObject({ code: "invalid", reason, field: "code_zip", message: "not this one" });
});

test("a zip without files is refused, and a broken inspection is no fault of the caller", async () => {
  await using empty = startTestApi({ store, clock, inspectZip: async () => ({ files: 0, bytes: 0 }) });
  const creating = empty.functions.createFunction(aFunction("echo"), account.call());
  await expect(creating).rejects.toMatchObject({ reason: "CODE_EMPTY", field: "code_zip" });
  const bug = new TypeError("a bug");
  await using broken = startTestApi({ store, clock, inspectZip: () => Promise.reject(bug) });
  const failing = broken.functions.createFunction(aFunction("echo"), account.call());
  await expect(failing).rejects.toBe(bug);
});

test("a real zip is accepted, one whose names leave its folder is not", async () => {
  await using strict = startTestApi({ store, clock, inspectZip });
  const creating = (name: string, codeZip: Buffer) =>
    strict.functions.createFunction({ ...aFunction(name), codeZip }, account.call());
  expect(await creating("good", aZip("index.js"))).toMatchObject({ name: "good" });
  const unsafe = { code: "invalid", reason: "CODE_UNSAFE_NAME", field: "code_zip" };
  for (const name of ["../index.js", "a/../../index.js", "/etc/passwd"]) {
    await expect(creating("bad", aZip(name))).rejects.toMatchObject(unsafe);
  }
  await expect(creating("bad", Buffer.from("no zip"))).rejects.toMatchObject({ reason: "CODE_NOT_A_ZIP" });
});

/** A zip of one empty file; the libraries that write zips refuse names such as `../x`. */
function aZip(name: string): Buffer {
  const local = Buffer.alloc(30);
  local.writeUInt32LE(0x04034b50, 0);
  local.writeUInt16LE(name.length, 26);
  const central = Buffer.alloc(46);
  central.writeUInt32LE(0x02014b50, 0);
  central.writeUInt16LE(name.length, 28);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(central.length + name.length, 12);
  end.writeUInt32LE(local.length + name.length, 16);
  return Buffer.concat([local, Buffer.from(name), central, Buffer.from(name), end]);
}

test("more than the account may run is reserved for nobody; less than before always may be", async () => {
  const { accountId } = account;
  const update = (name: string, settings: Partial<FunctionSettings>) =>
    api.functions.updateFunction(
      { name, settings: FunctionSettings.fromPartial(settings), codeZip: nothing },
      account.call(),
    );
  await create(aFunction("a", { concurrencyReserved: 8 }));
  await store.accounts.update(accountId, { concurrencyMax: 10 });
  const refused = { code: "precondition", reason: "TOO_MUCH_RESERVED", field: "settings.concurrency_reserved" };
  await expect(create(aFunction("b", { concurrencyReserved: 3 }))).rejects.toMatchObject({
    ...refused,
    message:
      `account ${accountId} may run 10 at a time, and 8 are reserved for its other functions: ` +
      "reserve 2 at most, or raise concurrency_max of the account",
  });
  // What its own limit does not let it use is not reserved.
  await create(aFunction("b", { concurrencyReserved: 3, concurrencyMax: 2 }));
  await expect(update("b", { concurrencyMax: 3 })).rejects.toMatchObject(refused);
  await expect(update("b", { concurrencyMax: 0 })).rejects.toMatchObject(refused);
  await expect(update("a", { concurrencyReserved: 9 })).rejects.toMatchObject(refused);
  await update("a", { memoryMb: 256 });
  await store.accounts.update(accountId, { concurrencyMax: 5 });
  expect((await update("a", { concurrencyReserved: 7 })).settings?.concurrencyReserved).toBe(7);
  await expect(update("missing", { concurrencyReserved: 1 })).rejects.toMatchObject({ reason: "FUNCTION_NOT_FOUND" });
});

test("at most two hundred functions of an account reserve anything", async () => {
  const template = await create(aFunction("f0", { concurrencyReserved: 1 }));
  const [record] = await store.functions.read([{ accountId: account.accountId, functionName: FunctionName("f0") }]);
  const settings = record?.settings as NonNullable<typeof record>["settings"];
  const code = { sha256: template.codeSha256, zip: aFunction("f0").codeZip };
  for (let index = 1; index < 200; index++) {
    const flow = { accountId: account.accountId, functionName: FunctionName(`f${index}`) };
    await store.functions.create(flow, settings, code);
  }
  const refused = { code: "precondition", reason: "TOO_MANY_RESERVING" };
  await expect(create(aFunction("more", { concurrencyReserved: 1 }))).rejects.toMatchObject(refused);
  await create(aFunction("more"));
});
