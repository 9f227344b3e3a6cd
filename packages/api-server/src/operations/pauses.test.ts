import { FakeClock } from "@sluice/core/testing";
import { OperationKind, PauseHolder, type PauseTarget, StartOperationRequest, TaskSelector } from "@sluice/protocol";
import { pausesMax, type Store } from "@sluice/store";
import { openPglite } from "@sluice/store/pglite";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { intercept } from "../testing/intercept.ts";
import { aFunction, anAccount, startTestApi, type TestAccount, type TestApi } from "../testing/test-api.ts";

const clock = new FakeClock();
let store: Store;
let api: TestApi;
let operator: TestAccount;
let tenant: TestAccount;

beforeAll(async () => {
  store = await openPglite({ dataDir: "memory", inWorker: false, clock });
  operator = await anAccount(store);
  api = startApi(store);
  await store.lanes.raiseFloor({ queue: "q0", prefix: "", epoch: 1 });
});
beforeEach(async () => {
  tenant = await anAccount(store);
  await api.functions.createFunction(aFunction("echo"), tenant.call());
});
afterAll(async () => {
  await api.stop();
  await store[Symbol.asyncDispose]();
});

function startApi(on: Store): TestApi {
  return startTestApi({ store: on, clock, config: { operatorAccounts: [operator.accountId] } });
}

const theFunction = { $case: "function", value: "echo" } as const;
const theAccount = { $case: "account", value: {} } as const;
const theFilter = { $case: "tasks", value: TaskSelector.fromPartial({ tag: "blue" }) } as const;
const ofOperators = { code: "forbidden", reason: "PAUSED_BY_OPERATORS" };

const pause = (target: PauseTarget["target"], who: TestAccount, on = api) =>
  on.operations.pause({ target: of(target, who), reason: "moving" }, who.call());
const resume = (target: PauseTarget["target"], who: TestAccount) =>
  api.operations.resume({ pauseId: "", target: of(target, who) }, who.call());
const resumeById = (pauseId: string, who: TestAccount) =>
  api.operations.resume({ pauseId, target: undefined }, who.call());
/** Operators mean the tenant's. */
const of = (target: PauseTarget["target"], who: TestAccount): PauseTarget => ({
  target,
  accountId: who === operator && target?.$case !== "queue" ? tenant.accountId : "",
});
const listed = async () => (await api.operations.listPauses({}, tenant.call())).pauses;

test.each([theFunction, theAccount, theFilter])(
  "a pause of operators is not ended by the tenant: $$case",
  async (target) => {
    const held = await pause(target, operator);
    expect(held).toMatchObject({ heldBy: PauseHolder.OPERATORS, createdBy: operator.accountId });
    expect(await listed()).toEqual([held]);
    await expect(resume(target, tenant)).rejects.toMatchObject({
      ...{ ...ofOperators, message: expect.stringContaining("moving") },
    });
    await expect(resumeById(held.pauseId, tenant)).rejects.toMatchObject(ofOperators);
    expect(await listed()).toEqual([held]);
    expect(await resume(target, operator)).toEqual({ resumed: true, stillHeld: undefined });
    expect(await listed()).toEqual([]);
  },
);

test.each(["the tenant", "the operators"])("both hold a target by themselves, whoever was first: %s", async (first) => {
  const whoFirst = first === "the tenant" ? [tenant, operator] : [operator, tenant];
  for (const who of whoFirst) await pause(theFunction, who);
  const [mine, theirs] = [await pause(theFunction, tenant), await pause(theFunction, operator)];
  expect(mine).toMatchObject({ heldBy: PauseHolder.ACCOUNT, createdBy: tenant.accountId });
  expect(await listed()).toHaveLength(2);

  expect(await resume(theFunction, tenant)).toEqual({ resumed: true, stillHeld: theirs });
  await expect(resume(theFunction, tenant)).rejects.toMatchObject(ofOperators);
  expect(await listed()).toEqual([theirs]);
  const again = await pause(theFunction, tenant);
  expect(await resume(theFunction, operator)).toEqual({ resumed: true, stillHeld: again });
  expect(await resume(theFunction, operator)).toEqual({ resumed: false, stillHeld: again });
  expect(await resumeById(again.pauseId, operator)).toEqual({ resumed: true, stillHeld: undefined });
  expect(await resume(theFunction, tenant)).toEqual({ resumed: false, stillHeld: undefined });
});

test("an operator is a tenant where its own account is meant; queues are held by operators", async () => {
  const self = { target: theAccount, accountId: operator.accountId };
  const own = await api.operations.pause({ target: self, reason: "" }, operator.call());
  expect(own.heldBy).toBe(PauseHolder.ACCOUNT);
  expect(await resumeById(own.pauseId, operator)).toEqual({ resumed: true, stillHeld: undefined });
  const queue = { $case: "queue", value: "q0" } as const;
  expect((await pause(queue, operator)).heldBy).toBe(PauseHolder.OPERATORS);
  await expect(resume(queue, tenant)).rejects.toMatchObject({ reason: "NOT_AN_OPERATOR" });
  expect(await resume(queue, operator)).toEqual({ resumed: true, stillHeld: undefined });
});

test("what is not there is not paused", async () => {
  const nobody = { target: theAccount, accountId: "acount" };
  const paused = (target: PauseTarget, who: TestAccount) => api.operations.pause({ target, reason: "" }, who.call());
  const noAccount = { code: "not_found", reason: "ACCOUNT_NOT_FOUND", message: expect.stringContaining("acount") };
  await expect(paused(nobody, operator)).rejects.toMatchObject(noAccount);
  await expect(paused({ ...nobody, target: theFilter }, operator)).rejects.toMatchObject(noAccount);
  await expect(paused({ ...nobody, target: theFunction }, operator)).rejects.toMatchObject(noAccount);
  const filter = { $case: "tasks", value: TaskSelector.fromPartial({ function: "ecko" }) } as const;
  const noFunction = { code: "not_found", reason: "FUNCTION_NOT_FOUND", message: expect.stringContaining("ecko") };
  await expect(pause(filter, tenant)).rejects.toMatchObject(noFunction);
  await expect(pause(filter, operator)).rejects.toMatchObject(noFunction);
  expect(await listed()).toEqual([]);
});

test("an account has a hundred pauses, which leaves operators room for theirs, and for queues", async () => {
  const nth = (n: number) => ({ $case: "tasks", value: TaskSelector.fromPartial({ tag: `t${n}` }) }) as const;
  for (let n = 0; n < 100; n++) await pause(nth(n), tenant);
  const tooMany = { code: "exhausted", reason: "TOO_MANY_PAUSES" };
  await expect(pause(nth(100), tenant)).rejects.toMatchObject(tooMany);
  expect(await pause(nth(5), tenant)).toMatchObject({ heldBy: PauseHolder.ACCOUNT });
  expect(await pause(nth(100), operator)).toMatchObject({ heldBy: PauseHolder.OPERATORS });
  for (let n = 0; n < 99; n++) await pause(nth(n), operator);
  await expect(pause(nth(99), operator)).rejects.toMatchObject(tooMany);
  const queue = { $case: "queue", value: "q0" } as const;
  await pause(queue, operator);
  await resume(queue, operator);
});

test("of the pauses of a cluster accounts share 9,000, and the others are kept for operators", async () => {
  const { pauses } = await api.operations.listPauses({}, operator.call());
  // As if there were 8,999 more than there are.
  const others = 8_999 - pauses.length;
  const control = intercept(store.control, {
    pause: (given, options = { pausesMax }) => store.control.pause(given, { pausesMax: options.pausesMax - others }),
  });
  await using crowded = startApi(intercept(store, { control }));
  expect(await pause(theFunction, tenant, crowded)).toMatchObject({ heldBy: PauseHolder.ACCOUNT });
  await expect(pause(theAccount, tenant, crowded)).rejects.toMatchObject({
    ...{ code: "exhausted", reason: "TOO_MANY_PAUSES", message: expect.stringContaining("9000") },
  });
  expect(await pause(theAccount, operator, crowded)).toMatchObject({ heldBy: PauseHolder.OPERATORS });
});

test("an operation that an operator started for an account is seen and not cancelled by it, and takes none of its places", async () => {
  const start = (operationId: string, who: TestAccount) =>
    api.operations.startOperation(
      StartOperationRequest.fromPartial({
        ...{ kind: OperationKind.STOP, filter: { tag: "x" }, operationId },
        accountId: tenant.accountId,
      }),
      who.call(),
    );
  for (let n = 0; n < 10; n++) await start(`theirs-${n}`, operator);
  const refused = { code: "forbidden", reason: "STARTED_BY_OPERATORS" };
  await expect(api.operations.cancelOperation({ operationId: "theirs-0" }, tenant.call())).rejects.toMatchObject(
    refused,
  );
  expect(await api.operations.getOperation({ operationId: "theirs-0" }, tenant.call())).toMatchObject({ endedAtMs: 0 });
  for (let n = 0; n < 10; n++) await start(`mine-${n}`, tenant);
  await expect(start("mine-10", tenant)).rejects.toMatchObject({ reason: "TOO_MANY_OPERATIONS" });
  await expect(start("theirs-10", operator)).rejects.toMatchObject({ reason: "TOO_MANY_OPERATIONS" });
  const cancelled = { endedAtMs: expect.any(Number) };
  expect(await api.operations.cancelOperation({ operationId: "mine-0" }, tenant.call())).toMatchObject(cancelled);
  expect(await api.operations.cancelOperation({ operationId: "theirs-0" }, operator.call())).toMatchObject(cancelled);
  expect(await start("theirs-10", operator)).toMatchObject({ createdBy: operator.accountId });
});
