import { AccountId, FunctionName, TaskId } from "@sluice/core";
import { aFlow, FakeClock } from "@sluice/core/testing";
import { controlTopic } from "@sluice/queue";
import { createMemorySignals } from "@sluice/queue/memory";
import { silentLogger } from "@sluice/runtime";
import {
  type Heeded,
  type PauseRecord,
  type PauseTarget,
  pausedUntil,
  type Store,
  type TaskRow,
  type TaskSelection,
} from "@sluice/store";
import { expect, onTestFinished, test } from "vitest";
import { createBatchControl } from "./batch-control.ts";
import { pausedGate } from "./partition/gates/paused.ts";
import type { ActiveTask } from "./partition/memory.ts";

const echo = aFlow();
const { accountId } = echo;

/** What it asks, and how it is answered; runs until the test ends. */
function startControl() {
  const clock = new FakeClock();
  const signals = createMemorySignals();
  let pauses: PauseRecord[] = [];
  let fails = false;
  let delayMs = 0;
  let asked = 0;
  const heed = async (): Promise<Heeded> => {
    asked++;
    const answer = { pauses: [...pauses], operations: [] };
    const hasFailed = fails;
    if (delayMs > 0) await clock.sleep(delayMs);
    if (hasFailed) throw new Error("the store is away");
    return answer;
  };
  const store = { control: { heed } } as unknown as Pick<Store, "control">;
  const control = createBatchControl({ clock, log: silentLogger, store, signals });
  const stop = new AbortController();
  const done = control.run(stop.signal);
  onTestFinished(async () => {
    stop.abort();
    await done;
  });
  return {
    ...{ clock, signals, control },
    pause(target: PauseTarget, number = pauses.length + 1) {
      pauses.push({ pauseId: `p${number}`, number, target, reason: "", createdBy: accountId, createdAt: 0 });
    },
    resumeAll: () => {
      pauses = [];
    },
    failing(value: boolean) {
      fails = value;
    },
    slow(ms: number) {
      delayMs = ms;
    },
    get asked() {
      return asked;
    },
  };
}

test("a function, an account or a queue has no room while it is paused, and others have", async () => {
  const { clock, control, pause, resumeAll } = startControl();
  const gate = pausedGate(control, "q1");
  const room = (names: Parameters<typeof aFlow>[0] = {}) => {
    const origin = { ...aFlow(names), lane: 0, priority: 2, enqueuedAt: 0 } as const;
    const flow = { origin, flowKey: "", function: undefined, active: 0 };
    const isAdmitted = gate.admits?.(flow, {} as ActiveTask, { ofFlow: 0, ofAccount: 0, activeOf: () => 0 });
    expect(isAdmitted).toBe(gate.room(flow) > 0);
    return gate.room(flow);
  };
  expect(room()).toBe(0);
  await clock.advance(1);
  expect(room()).toBe(Number.POSITIVE_INFINITY);

  pause({ kind: "function", ...echo });
  pause({ kind: "account", accountId: AccountId("other") });
  await clock.advance(1_000);
  expect([room(), room({ function: "two" }), room({ account: "other" })]).toEqual([0, Number.POSITIVE_INFINITY, 0]);
  pause({ kind: "queue", queue: "q1" });
  await clock.advance(1_000);
  expect(room({ function: "two" })).toBe(0);
  resumeAll();
  await clock.advance(1_000);
  expect(room()).toBe(Number.POSITIVE_INFINITY);
});

test("a hint is heard at once, and whoever watches is told only of changes", async () => {
  const { clock, control, pause, signals } = startControl();
  let changes = 0;
  control.watch(() => changes++);
  await clock.advance(3_000);
  expect(changes).toBe(1);
  pause({ kind: "account", accountId });
  signals.send(controlTopic, "");
  await clock.settle();
  expect(control.holds(echo, "q0")).toBe(true);
  expect(changes).toBe(2);
});

test("nothing goes by what is older than four seconds, however the answers come", async () => {
  const { clock, control, failing, slow } = startControl();
  await clock.advance(1);
  failing(true);
  await clock.advance(3_900);
  expect(control.isUsable()).toBe(true);
  await clock.advance(200);
  expect(control.isUsable()).toBe(false);
  failing(false);
  await clock.advance(1_000);
  expect(control.isUsable()).toBe(true);
  slow(6_000);
  await clock.advance(30_000);
  expect(control.isUsable()).toBe(false);
  slow(0);
  await clock.advance(8_000);
  expect(control.isUsable()).toBe(true);
});

test("an answer that was overtaken changes nothing", async () => {
  const { clock, control, pause, resumeAll, signals, slow } = startControl();
  pause({ kind: "account", accountId });
  slow(3_500);
  await clock.advance(1_000);
  slow(0);
  resumeAll();
  signals.send(controlTopic, "");
  await clock.advance(100);
  expect(control.holds(echo, "q0")).toBe(false);
  await clock.advance(2_800);
  expect(control.holds(echo, "q0")).toBe(false);
});

test("a row waits for a pause whose filter it passes as a whole", async () => {
  const { clock, control, pause } = startControl();
  const filter = {
    accountId,
    functionName: FunctionName("echo"),
    status: "Enqueued",
    tag: "blue",
    priority: 2,
  } as const;
  pause({ kind: "tasks", filter: { ...filter, taskIdPrefix: "a", enqueuedFrom: 5, enqueuedUntil: 9 } });
  await clock.advance(1_000);
  const row = {
    ...echo,
    taskId: TaskId("a1"),
    status: "Enqueued",
    tags: ["blue"],
    priority: 2,
    enqueuedAt: 5,
  } as const;
  const pauseOf = (changes: Partial<TaskRow>) => control.pauseOf({ ...row, ...changes } as unknown as TaskRow);

  expect(pauseOf({})?.number).toBe(1);
  const others: Partial<TaskRow>[] = [
    { accountId: AccountId("other") },
    { functionName: FunctionName("two") },
    { status: "Retrying" },
    { tags: ["green"] },
    { priority: 1 },
    { taskId: TaskId("b1") },
    { enqueuedAt: 4 },
    { enqueuedAt: 9 },
  ];
  for (const other of others) expect(pauseOf(other), JSON.stringify(other)).toBeUndefined();
  expect(control.isPausedUntil(pausedUntil(1))).toBe(true);
  expect(control.isPausedUntil(pausedUntil(2))).toBe(false);
  expect(control.filterPauses).toEqual([1]);
});

test("a row is compared with the filters of its own account only, in the order of the pauses", async () => {
  const { clock, control, pause } = startControl();
  let looks = 0;
  const counted = (filter: TaskSelection): TaskSelection =>
    new Proxy(filter, {
      get(target, name) {
        looks++;
        return Reflect.get(target, name);
      },
    });
  for (let index = 0; index < 100; index++)
    pause({ kind: "tasks", filter: counted({ accountId: AccountId("other"), priority: 1 }) });
  pause({ kind: "tasks", filter: { accountId, priority: 2 } });
  pause({ kind: "tasks", filter: { accountId } });
  await clock.advance(1_000);
  const row = { ...echo, taskId: TaskId("a1"), status: "Enqueued", tags: [], priority: 2, enqueuedAt: 5 };
  looks = 0;
  expect(control.pauseOf(row as unknown as TaskRow)?.number).toBe(101);
  expect(control.pauseOf({ ...row, accountId: AccountId("third") } as unknown as TaskRow)).toBeUndefined();
  expect(looks).toBe(0);
  expect(control.pauseOf({ ...row, accountId: AccountId("other"), priority: 1 } as unknown as TaskRow)?.number).toBe(1);
  expect(control.filterPauses).toHaveLength(102);
});
