import { AccountId, FunctionName, TaskId } from "@sluice/core";
import { FakeClock } from "@sluice/core/testing";
import { expect, test } from "vitest";
import type { Draft } from "../parse-submission.ts";
import { createKnownTasks } from "./known-tasks.ts";
import { draftsPerQuestion, waitingMax } from "./look-ups.ts";

/** A store that answers when it is told to, and knows the tasks whose ids begin with "old". */
function start() {
  const clock = new FakeClock();
  const questions: { readonly size: number; answer(): void; fail(cause: Error): void }[] = [];
  const known = <Key extends { readonly taskId: TaskId }>(keys: readonly Key[]) =>
    new Promise<Key[]>((resolve, reject) => {
      const answer = () => resolve(keys.filter(({ taskId }) => taskId.startsWith("old")));
      questions.push({ size: keys.length, answer, fail: reject });
    });
  return { clock, questions, tasks: createKnownTasks({ store: { tasks: { known } }, clock }) };
}

function drafts(count: number, { account = "a", id = "new" } = {}): Draft[] {
  const draft = { accountId: AccountId(account), functionName: FunctionName("f"), submissionToken: "token" };
  return Array.from({ length: count }, (_, index) => ({ ...draft, taskId: TaskId(`${id}-${index}`) }) as Draft);
}

test("messages that are refused while the store is asked share the next question", async () => {
  const { clock, questions, tasks } = start();
  const first = tasks.find(drafts(1));
  await clock.settle();
  const old = Array.from({ length: 50 }, (_, index) => drafts(2, { account: `a${index}`, id: "old" }));
  const later = old.map((message) => tasks.find(message));
  await clock.settle();
  expect(questions.map(({ size }) => size)).toEqual([1]);

  questions[0]?.answer();
  await clock.settle();
  expect(questions.map(({ size }) => size)).toEqual([1, 100]);
  questions[1]?.answer();

  expect((await first).known.size).toBe(0);
  for (const [index, { known, unclear }] of (await Promise.all(later)).entries()) {
    expect(old[index]?.every((draft) => known.has(draft))).toBe(true);
    expect(unclear.size).toBe(0);
  }
});

test("a question has a bound, and what waits for one has another: beyond it nothing is said of what was submitted", async () => {
  const { clock, questions, tasks } = start();
  const found = Array.from({ length: 42 }, (_, index) => tasks.find(drafts(999, { account: `a${index}` })));
  await clock.settle();
  expect(questions.map(({ size }) => size)).toEqual([2 * 999]);
  for (let index = 0; index < questions.length; index++) {
    questions[index]?.answer();
    await clock.settle();
  }
  const answers = await Promise.all(found);

  expect(Math.max(...questions.map(({ size }) => size))).toBeLessThanOrEqual(draftsPerQuestion);
  expect(questions.reduce((sum, { size }) => sum + size, 0)).toBe(waitingMax);
  expect(answers.map(({ unclear }) => unclear.size)).toEqual([...new Array(40).fill(0), 959, 999]);
});

test("a question that fails is the answer of everybody who shared it, and of nobody else", async () => {
  const { clock, questions, tasks } = start();
  const failing = [tasks.find(drafts(1)), tasks.find(drafts(1, { account: "b" }))].map((find) =>
    find.catch((cause: unknown) => cause),
  );
  await clock.settle();
  const later = tasks.find(drafts(1, { id: "old" }));
  const cause = new Error("no store");
  questions[0]?.fail(cause);
  await clock.settle();
  questions[1]?.answer();

  expect(await Promise.all(failing)).toEqual([cause, cause]);
  expect((await later).known.size).toBe(1);
});

test("while the store is slow one account does not take the room of others", async () => {
  const { clock, questions, tasks } = start();
  const found: Promise<{ readonly unclear: ReadonlySet<Draft> }>[] = [];
  for (let second = 0; second < 30; second++) {
    found.push(tasks.find(drafts(2_000, { account: "greedy" })));
    await clock.advance(1_000);
  }
  const other = tasks.find(drafts(2_000, { account: "other" }));
  for (let index = 0; index < 2; index++) {
    await clock.settle();
    questions[index]?.answer();
  }
  expect((await other).unclear.size).toBe(0);
  expect((await Promise.all(found)).map(({ unclear }) => unclear.size)).toEqual([0, ...new Array(29).fill(2_000)]);
});
