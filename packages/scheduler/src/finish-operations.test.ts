import { AccountId } from "@sluice/core";
import { FakeClock } from "@sluice/core/testing";
import { controlTopic } from "@sluice/queue";
import { createMemorySignals } from "@sluice/queue/memory";
import { silentLogger } from "@sluice/runtime";
import type { ControlRecords, LeftPage, OperationRecord } from "@sluice/store";
import { expect, onTestFinished, test } from "vitest";
import { createBatchControl } from "./batch-control.ts";
import { finishOperationsLoop } from "./finish-operations.ts";

type Control = Pick<ControlRecords, "heed" | "reopen" | "finish">;

/** Two operations, all of whose lanes are done, and of which some pages may be left; runs until the test ends. */
async function startFinishing(control: Partial<Control> = {}) {
  const clock = new FakeClock();
  const signals = createMemorySignals();
  const calls: string[] = [];
  const world = { ...{ clock, calls, isLeading: true, hints: 0 }, open: [anOperation(1), anOperation(2)] };
  const records: Control = {
    heed: async () => ({
      pauses: [],
      operations: world.open.map((operation) => ({ operation, openLanes: [] })),
    }),
    reopen: async ({ operationId }, { after }) => {
      calls.push(`look ${operationId} ${after?.seq ?? 0}`);
      return { left: 0, last: undefined };
    },
    finish: async (operation) => {
      calls.push(`finish ${operation.operationId}`);
      world.open = world.open.filter(({ number }) => number !== operation.number);
      return true;
    },
  };
  const store = { control: { ...records, ...control } };
  const batchControl = createBatchControl({ clock, log: silentLogger, store, signals });
  const finishing = finishOperationsLoop({
    ...{ clock, log: silentLogger, store, signals, batchControl },
    isLeading: () => world.isLeading,
  });
  const stopHearing = signals.listen(controlTopic, () => {
    world.hints += 1;
  });
  const stop = new AbortController();
  const done = Promise.all([batchControl.run(stop.signal), finishing(stop.signal)]);
  onTestFinished(async () => {
    stop.abort();
    stopHearing();
    await done;
  });
  await clock.advance(1);
  return Object.assign(world, { batchControl });
}

function anOperation(number: number): OperationRecord {
  return {
    ...{ operationId: `op${number}`, number, kind: "delete", filter: { accountId: AccountId("main"), tag: "rare" } },
    ...{ createdBy: AccountId("main"), createdAt: 100, cancelledAt: undefined, finishedAt: undefined },
  };
}

test("the leader finishes what has nothing left, and nobody else does", async () => {
  const world = await startFinishing();
  expect(world.calls).toEqual(["look op1 0", "finish op1", "look op2 0", "finish op2"]);
  await world.clock.advance(60_000);
  expect(world.calls).toHaveLength(4);
  world.isLeading = false;
  world.open = [anOperation(3)];
  await world.clock.advance(60_000);
  expect(world.calls).toHaveLength(4);
  world.isLeading = true;
  await world.clock.advance(1_000);
  expect(world.calls.slice(4)).toEqual(["look op3 0", "finish op3"]);
});

test("what is paused is known in time while an operation cannot be finished", async () => {
  let asked = 0;
  const stopped = new AbortController();
  const hang = () => {
    asked += 1;
    return new Promise<never>((_, reject) => {
      if (stopped.signal.aborted) reject(stopped.signal.reason);
      stopped.signal.addEventListener("abort", () => reject(stopped.signal.reason));
    });
  };
  const world = await startFinishing({ reopen: hang, finish: hang });
  await world.clock.advance(60_000);
  const seen = { asked, isUsable: world.batchControl.isUsable() };
  stopped.abort();
  expect(seen).toEqual({ asked: 1, isUsable: true });
});

test("operations are looked through page by page in turn, and a failed page is tried again later", async () => {
  const pages: Readonly<Record<string, number>> = { op1: 3, op2: 1 };
  let failures = 0;
  const looks: string[] = [];
  const world = await startFinishing({
    async reopen({ operationId }, { after, limit }): Promise<LeftPage> {
      expect(limit).toBe(5_000);
      const page = after?.seq ?? 0;
      looks.push(`${operationId} ${page}`);
      if (page === 1 && failures++ < 3) throw new Error("statement timeout");
      return { left: 0, last: page + 1 === pages[operationId] ? undefined : { enqueuedAt: 1, seq: page + 1 } };
    },
  });
  expect(looks).toEqual(["op1 0", "op2 0", "op1 1"]);
  expect(world.calls).toEqual(["finish op2"]);
  await world.clock.advance(3_000);
  expect(looks.slice(3)).toEqual(["op1 1"]);
  await world.clock.advance(6_000);
  expect(looks.slice(4)).toEqual(["op1 1"]);
  await world.clock.advance(20_000);
  expect(looks.slice(5)).toEqual(["op1 1", "op1 2"]);
  expect(world.calls).toEqual(["finish op2", "finish op1"]);
});

test("an operation of which something was left on any page is not finished, and owners are told at once", async () => {
  const looks: string[] = [];
  let isLeft = true;
  const world = await startFinishing({
    async reopen({ operationId }, { after }): Promise<LeftPage> {
      const page = after?.seq ?? 0;
      looks.push(`${operationId} ${page}`);
      return { left: page === 0 && isLeft ? 1 : 0, last: page === 1 ? undefined : { enqueuedAt: 1, seq: 1 } };
    },
  });
  expect(looks).toEqual(["op1 0", "op2 0"]);
  expect(world.hints).toBe(2);
  await world.clock.advance(2_500);
  expect(world.calls).toEqual([]);
  isLeft = false;
  await world.clock.advance(2_000);
  expect(world.calls).toEqual(["finish op1", "finish op2"]);
});

test("an operation that was looked through and could not be finished is not looked through again, unless a lane is open", async () => {
  const looks: string[] = [];
  const answers: (boolean | Error)[] = [new Error("statement timeout"), new Error("statement timeout"), false, true];
  let finishes = 0;
  const world = await startFinishing({
    async reopen({ operationId }, { after }): Promise<LeftPage> {
      const page = after?.seq ?? 0;
      looks.push(`${operationId} ${page}`);
      return { left: 0, last: page === 1 ? undefined : { enqueuedAt: 1, seq: 1 } };
    },
    async finish({ number }) {
      if (number === 2) return true;
      const answer = answers[finishes++] ?? true;
      if (answer instanceof Error) throw answer;
      if (answer) world.open = [];
      return answer;
    },
  });
  world.open = world.open.slice(0, 1);
  const looksOfFirst = () => looks.filter((look) => look.startsWith("op1"));
  await world.clock.advance(20_000);
  expect(finishes).toBe(4);
  expect(looksOfFirst()).toEqual(["op1 0", "op1 1", "op1 0", "op1 1"]);
});
