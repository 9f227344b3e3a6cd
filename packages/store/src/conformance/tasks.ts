import { AccountId, TaskId } from "@sluice/core";
import { expect, test } from "vitest";
import { account, aNewTask, aSettle, bytes, flow, owner, type Subject } from "./subject.ts";
import { aPark } from "./writes.ts";

export function describeTasks(subject: Subject): void {
  test("a fresh task reads back whole, with its acceptance as the first event", async () => {
    const task = aNewTask({ payload: bytes("in"), priority: 1, lane: 9 });
    const [seq] = await subject.insert(task);

    expect(await subject.store.tasks.get(task)).toEqual({
      ...flow,
      taskId: task.taskId,
      seq,
      queue: "q",
      lane: 9,
      status: "Enqueued",
      priority: 1,
      attempt: 1,
      retries: 0,
      lostAttempts: 0,
      enqueuedAt: subject.now,
      dueAt: undefined,
      parkReason: undefined,
      expiresAt: subject.now + task.expiresAfterMs,
      startedAt: undefined,
      endedAt: undefined,
      stopRequested: false,
      tags: [],
      payload: bytes("in"),
      result: new Uint8Array(),
      error: undefined,
      agentId: undefined,
      instanceId: undefined,
      progress: undefined,
      events: [{ status: "Enqueued", at: subject.now, attempt: 0 }],
      eventsLeftOut: 0,
    });
  });

  test("an attempt is settled when its task is final, deleted, or at a later attempt", async () => {
    const [open = 0, ended = 0, retried = 0] = await subject.insert(aNewTask(), aNewTask(), aNewTask());
    await subject.own();
    await subject.store.lanes.write(owner, [aSettle(ended), aPark(retried, { nextAttempt: 2 })]);
    const gone = Math.max(open, ended, retried) + 1_000;
    const attempts = [open, ended, retried, gone].map((seq) => ({ seq, attempt: 1, queue: "q" }));

    const found = await subject.store.tasks.settled(attempts);
    expect(found).toEqual(attempts.slice(1));
    expect(await subject.store.tasks.settled([{ seq: retried, attempt: 2 }])).toEqual([]);
    expect(await subject.store.tasks.settled([])).toEqual([]);
  });

  test("a task that is not there is undefined, also to another account", async () => {
    const task = aNewTask();
    await subject.insert(task);
    const stranger = { ...task, accountId: AccountId("stranger") };

    expect(await subject.store.tasks.get({ ...flow, taskId: TaskId("nobody") })).toBeUndefined();
    expect(await subject.store.tasks.get(stranger)).toBeUndefined();
    expect(await subject.store.tasks.requestStop(stranger)).toBeUndefined();
    expect(await subject.store.tasks.countWaiting(AccountId("stranger"), 10)).toBe(0);
    expect((await subject.store.tasks.get(task))?.stopRequested).toBe(false);
  });

  test("of many keys those are known whose tasks exist, also final ones, each as it was given", async () => {
    const [waiting, ended] = [aNewTask(), aNewTask()];
    const [, seq = 0] = await subject.insert(waiting, ended);
    await subject.own();
    await subject.store.lanes.write(owner, [aSettle(seq)]);
    const missing = { ...flow, taskId: TaskId("nobody") };
    const others = { ...waiting, accountId: AccountId("stranger") };

    expect(await subject.store.tasks.known([missing, ended, others, waiting, ended])).toEqual([ended, waiting, ended]);
    expect(await subject.store.tasks.known([missing])).toEqual([]);
    expect(await subject.store.tasks.known([])).toEqual([]);
  });

  test("a request to stop shows as Stopping and enters the timeline once", async () => {
    const task = aNewTask();
    await subject.insert(task);

    await subject.store.tasks.requestStop(task);
    subject.passTime(10);
    const stopping = await subject.store.tasks.requestStop(task);

    expect(stopping).toMatchObject({ status: "Stopping", stopRequested: true });
    expect(stopping?.events.map((event) => [event.status, event.at, event.attempt])).toEqual([
      ["Enqueued", subject.now - 10, 0],
      ["Stopping", subject.now - 10, 1],
    ]);
  });

  test("a final task is answered as it is and not marked", async () => {
    const task = aNewTask();
    const [seq = 0] = await subject.insert(task);
    await subject.own();
    await subject.store.lanes.write(owner, [aSettle(seq)]);

    const answer = await subject.store.tasks.requestStop(task);

    expect(answer).toMatchObject({ status: "Succeeded", stopRequested: false });
    expect(answer?.events).toHaveLength(1);
  });

  test("only tasks of the account that are not final are counted, up to the limit", async () => {
    const mine = [aNewTask(), aNewTask({ delayMs: 1_000 }), aNewTask(), aNewTask()];
    const [first = 0] = await subject.insert(...mine, aNewTask({ accountId: AccountId("other") }));
    await subject.own();
    await subject.store.lanes.write(owner, [aSettle(first)]);

    expect(await subject.store.tasks.countWaiting(account, 10)).toBe(3);
    expect(await subject.store.tasks.countWaiting(account, 2)).toBe(2);
  });

  test("ping answers", async () => {
    expect(await subject.store.ping()).toBeGreaterThan(0);
  });
}
