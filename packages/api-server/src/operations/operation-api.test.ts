import { FakeClock } from "@sluice/core/testing";
import { OperationKind, StartOperationRequest } from "@sluice/protocol";
import type { Store } from "@sluice/store";
import { openPglite } from "@sluice/store/pglite";
import { afterAll, beforeAll, expect, test } from "vitest";
import { aFunction, anAccount, startTestApi, type TestAccount, type TestApi } from "../testing/test-api.ts";

let store: Store;
let api: TestApi;
let tenant: TestAccount;
let operator: TestAccount;

beforeAll(async () => {
  const clock = new FakeClock();
  store = await openPglite({ dataDir: "memory", inWorker: false, clock });
  operator = await anAccount(store);
  api = startTestApi({ store, clock, config: { operatorAccounts: [operator.accountId] } });
  tenant = await anAccount(store);
  await api.functions.createFunction(aFunction("echo"), tenant.call());
  await store.lanes.raiseFloor({ queue: "q0", prefix: "", epoch: 1 });
});
afterAll(async () => {
  await api.stop();
  await store[Symbol.asyncDispose]();
});

test("what is misspelt is not paused, and the answer says what there is", async () => {
  const pause = (target: { $case: "function" | "queue"; value: string }, who: TestAccount) =>
    api.operations.pause({ target: { target, accountId: "" }, reason: "" }, who.call());
  await expect(pause({ $case: "function", value: "ecko" }, tenant)).rejects.toMatchObject({
    ...{ code: "not_found", reason: "FUNCTION_NOT_FOUND", message: expect.stringContaining("ecko") },
  });
  await expect(pause({ $case: "queue", value: "q9" }, operator)).rejects.toMatchObject({
    ...{ code: "not_found", reason: "QUEUE_NOT_FOUND", message: expect.stringContaining("q0") },
  });
  expect((await api.operations.listPauses({}, operator.call())).pauses).toEqual([]);
  expect((await pause({ $case: "function", value: "echo" }, tenant)).pauseId).not.toBe("");
  expect((await pause({ $case: "queue", value: "q0" }, operator)).pauseId).not.toBe("");
});

test("an operation's id means that operation: the same again is answered with it, anything else is refused", async () => {
  const start = (kind: OperationKind, filter: { tag?: string; function?: string }) =>
    api.operations.startOperation(
      StartOperationRequest.fromPartial({ kind, filter, operationId: "once" }),
      tenant.call(),
    );
  const started = await start(OperationKind.STOP, { tag: "a", function: "echo" });
  expect(await start(OperationKind.STOP, { function: "echo", tag: "a" })).toEqual(started);
  const taken = { code: "exists", reason: "OPERATION_EXISTS" };
  await expect(start(OperationKind.DELETE, { tag: "a", function: "echo" })).rejects.toMatchObject(taken);
  await expect(start(OperationKind.STOP, { tag: "a" })).rejects.toMatchObject(taken);
});

test("ten operations of an account are at work at most, however many it has started and cancelled since", async () => {
  const busy = await anAccount(store);
  const start = (operationId: string) =>
    api.operations.startOperation(
      StartOperationRequest.fromPartial({ kind: OperationKind.STOP, filter: { tag: "x" }, operationId }),
      busy.call(),
    );
  await start("long");
  for (let n = 0; n < 100; n++) {
    await start(`short-${n}`);
    await api.operations.cancelOperation({ operationId: `short-${n}` }, busy.call());
  }
  for (let n = 0; n < 9; n++) await start(`more-${n}`);
  await expect(start("one-too-many")).rejects.toMatchObject({ code: "exhausted", reason: "TOO_MANY_OPERATIONS" });
});
