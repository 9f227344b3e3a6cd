import {
  AccountId,
  FunctionName,
  priorities,
  type Task,
  type TaskId,
  TaskId as taskIdOf,
  taskStatuses,
} from "@sluice/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { NewTask, TaskFilter, TaskWrite } from "../index.ts";
import { account, aNewTask, aSettle, bytes, owner, type Subject } from "./subject.ts";
import { aPark, aRunning } from "./writes.ts";

const everything: TaskFilter = { accountId: account, order: "newest", limit: 100, includePayload: false };

export function describeList(subject: Subject): void {
  test("any filter lists what a filter in JavaScript lists, in pages without gaps and repeats", async () => {
    const tasks = await fillList(subject);
    const times = [...new Set(tasks.map((task) => task.enqueuedAt))];
    const filters = fc.record(
      {
        functionName: fc.constantFrom("alpha", "beta", "nobody").map((name) => FunctionName(name)),
        status: fc.constantFrom(...taskStatuses),
        enqueuedFrom: fc.constantFrom(...times),
        enqueuedUntil: fc.constantFrom(...times),
        priority: fc.constantFrom(...priorities),
        tag: fc.constantFrom("even", "third", "none"),
        taskIdPrefix: fc.constantFrom("", "a", "ab", "b_", "ac-1", "zz"),
        accountId: fc.constantFrom(account, AccountId("other")),
        order: fc.constantFrom("newest" as const, "oldest" as const),
        limit: fc.integer({ min: 1, max: 12 }),
      },
      { requiredKeys: ["accountId", "order", "limit"] },
    );
    await fc.assert(
      fc.asyncProperty(filters, async (filter) => {
        const listed = await listAll(subject, { ...filter, includePayload: false });
        expect(listed.map((task) => task.seq)).toEqual(naively(tasks, filter).map((task) => task.seq));
      }),
      { numRuns: 150, seed: 20_261_121 },
    );
  });

  test("listed tasks are whole but for events, payload and result", async () => {
    const tasks = await fillList(subject);
    const lean = { payload: new Uint8Array(), result: new Uint8Array(), events: [] };

    const listed = await subject.store.tasks.list(everything);

    expect(listed).toEqual(naively(tasks, everything).map((task) => ({ ...task, ...lean })));
    const withPayload = await subject.store.tasks.list({ ...everything, includePayload: true });
    expect(withPayload).toEqual(naively(tasks, everything).map((task) => ({ ...task, events: [] })));
  });

  test("a prefix of thousands is listed in order as well, and paged", async () => {
    const tasks = Array.from({ length: 6_000 }, (_, at) =>
      aNewTask({ taskId: taskIdOf(at % 50 === 0 ? `x${at}` : `y${at}`) }),
    );
    await subject.store.tasks.insert(tasks);
    const filter = { ...everything, taskIdPrefix: "y", order: "oldest" as const, limit: 100 };

    const first = await subject.store.tasks.list(filter);
    const last = first.at(-1);
    const second = await subject.store.tasks.list({ ...filter, ...(last && { after: last }) });

    const seqs = [...first, ...second].map((task) => task.seq);
    expect(seqs).toHaveLength(200);
    expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b));
    expect([...first, ...second].every((task) => task.taskId.startsWith("y"))).toBe(true);
    const rare = await listAll(subject, { ...filter, taskIdPrefix: "x" });
    expect(rare).toHaveLength(120);
  });

  test("wildcards in a prefix are plain characters, and a NUL is the caller's mistake", async () => {
    await subject.insert(aNewTask({ taskId: taskIdOf("ab") }));

    expect(await subject.store.tasks.list({ ...everything, taskIdPrefix: "a%" })).toEqual([]);
    expect(await subject.store.tasks.list({ ...everything, taskIdPrefix: "_b" })).toEqual([]);
    await expect(subject.store.tasks.list({ ...everything, taskIdPrefix: "a\0" })).rejects.toMatchObject({
      code: "invalid",
      reason: "INVALID_TEXT",
    });
  });
}

/** Some 60 tasks of two accounts and two functions, in every status, some at the same time. */
async function fillList(subject: Subject): Promise<Task[]> {
  const inserted: NewTask[] = [];
  for (let at = 0; at < 60; at++) {
    if (at % 3 === 0) subject.passTime(100);
    const prefix = ["a", "ab", "ac-", "b_"][at % 4] ?? "";
    inserted.push(
      aNewTask({
        accountId: at % 7 === 0 ? AccountId("other") : account,
        functionName: FunctionName(at % 2 === 0 ? "alpha" : "beta"),
        taskId: taskIdOf(`${prefix}${at}`),
        payload: bytes(`payload ${at}`),
        lane: at % 32,
        delayMs: at % 11 === 0 ? 500 : 0,
        priority: priorities[at % 4] ?? 2,
        tags: [...(at % 2 === 0 ? ["even"] : []), ...(at % 3 === 0 ? ["third"] : [])],
      }),
    );
    await subject.store.tasks.insert(inserted.slice(-1));
  }
  await subject.own();
  const tasks = await getAll(subject, inserted);
  const writes = tasks.map((task, at) => someWrite(task, at)).filter((write) => write !== undefined);
  await subject.store.lanes.write(owner, writes);
  for (const task of tasks.filter((_, at) => at % 9 === 0)) await subject.store.tasks.requestStop(task);
  return await getAll(subject, inserted);
}

function someWrite({ seq, lane }: Task, at: number): TaskWrite | undefined {
  const finals = ["Succeeded", "Succeeded", "Failed", "Stopped", "Expired", "Invalid"] as const;
  if (at % 10 < finals.length) return aSettle(seq, { lane, status: finals[at % 10] ?? "Failed", result: bytes("out") });
  if (at % 10 === 6) return aRunning(seq, { lane });
  return at % 10 === 7 ? aPark(seq, { lane }) : undefined;
}

async function getAll(
  subject: Subject,
  keys: readonly { accountId: AccountId; functionName: FunctionName; taskId: TaskId }[],
) {
  const tasks = await Promise.all(keys.map((key) => subject.store.tasks.get(key)));
  return tasks.filter((task) => task !== undefined);
}

async function listAll(subject: Subject, filter: TaskFilter): Promise<Task[]> {
  const listed: Task[] = [];
  for (;;) {
    const last = listed.at(-1);
    const page = await subject.store.tasks.list({ ...filter, ...(last && { after: last }) });
    listed.push(...page);
    if (page.length < filter.limit) return listed;
  }
}

function naively(tasks: readonly Task[], filter: Omit<TaskFilter, "includePayload">): Task[] {
  const direction = filter.order === "newest" ? -1 : 1;
  return tasks
    .filter(
      (task) =>
        task.accountId === filter.accountId &&
        (filter.functionName === undefined || task.functionName === filter.functionName) &&
        (filter.status === undefined || task.status === filter.status) &&
        (filter.enqueuedFrom === undefined || task.enqueuedAt >= filter.enqueuedFrom) &&
        (filter.enqueuedUntil === undefined || task.enqueuedAt < filter.enqueuedUntil) &&
        (filter.priority === undefined || task.priority === filter.priority) &&
        (filter.tag === undefined || task.tags.includes(filter.tag)) &&
        (filter.taskIdPrefix === undefined || task.taskId.startsWith(filter.taskIdPrefix)),
    )
    .sort((a, b) => direction * (a.enqueuedAt - b.enqueuedAt || a.seq - b.seq));
}
