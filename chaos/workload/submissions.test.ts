import {
  DuplicateTask,
  NotFound,
  OutcomeUnknown,
  Rejected,
  type SluiceClient,
  type Task,
  Unavailable,
} from "@sluice/client";
import { expect, test } from "vitest";
import { pause } from "./pace.ts";
import type { PlannedTask } from "./plan.ts";
import { Submissions } from "./submissions.ts";

type Submit = SluiceClient["submit"];

const task: PlannedTask = {
  kind: "short",
  account: "red",
  function: "work-1",
  taskId: "short-1",
  input: { account: "red", taskId: "short-1", ms: 5, failures: 0, crashes: 0 },
  delayMs: 0,
  expiresAfterMs: 0,
  stopAfterMs: undefined,
};
const accepted: Submit = async () => ({ taskId: task.taskId, repeated: false });
const refused: Submit = async () => {
  throw new Rejected("TOO_MUCH", "too much");
};
const silent: Submit = async () => {
  const cause = new Unavailable("unavailable", "STREAM_ENDED", "gone");
  throw new OutcomeUnknown({ taskId: task.taskId, submissionToken: task.taskId }, cause);
};

/** Clients that answer one after the other as they are told to; the last one goes on with its answer. */
function clientsThat(answers: readonly Submit[], others: Partial<SluiceClient> = {}) {
  const asked: Parameters<Submit>[0][] = [];
  let acceptances = 0;
  const over = new AbortController();
  const wait: SluiceClient["wait"] = () => new Promise((_, reject) => over.signal.addEventListener("abort", reject));
  const client = {
    wait,
    ...others,
    submit(submission: Parameters<Submit>[0]) {
      const answer = answers[Math.min(asked.length, answers.length - 1)] ?? accepted;
      asked.push(submission);
      return answer(submission);
    },
  } as Partial<SluiceClient> as SluiceClient;
  const submissions = new Submissions({
    clients: () => [client],
    sleep: (_ms, signal) => pause(1, signal),
    random: () => 0,
    onAccepted: () => {
      acceptances += 1;
    },
    signal: over.signal,
  });
  return { submissions, asked, over, acceptances: () => acceptances };
}

test("an answer at once is the first and the final one", async () => {
  for (const [answer, expected] of [
    [accepted, "accepted"],
    [refused, "rejected"],
  ] as const) {
    const { submissions, over } = clientsThat([answer]);
    submissions.submit(task);
    await submissions.known();
    const [{ record } = { record: undefined }] = submissions.submitted();
    expect(record).toMatchObject({ firstAnswer: expected, answer: expected });
    expect(record?.knownAt).toBe(record?.answeredAt);
    expect(submissions.counts).toEqual({ accepted: 0, rejected: 0, unknown: 0, [expected]: 1 });
    over.abort();
  }
});

test("an unknown outcome is asked for again, with the same token, until it is known", async () => {
  const { submissions, asked, acceptances, over } = clientsThat([silent, silent, accepted]);
  submissions.submit(task);
  await submissions.known();
  expect(asked.map(({ taskId, submissionToken }) => [taskId, submissionToken])).toEqual(
    Array(3).fill(["short-1", "short-1"]),
  );
  expect(submissions.submitted()[0]?.record).toMatchObject({ firstAnswer: "unknown", answer: "accepted" });
  expect([submissions.counts, acceptances()]).toEqual([{ accepted: 1, rejected: 0, unknown: 0 }, 1]);
  over.abort();
});

test("a refusal after an unknown outcome says nothing of the first try", async () => {
  const { submissions, over } = clientsThat([silent, refused, accepted]);
  submissions.submit(task);
  await submissions.known();
  expect(submissions.submitted()[0]?.record).toMatchObject({ firstAnswer: "unknown", answer: "accepted" });
  over.abort();
});

test("what is not known when everything ends stays unknown", async () => {
  const { submissions, over } = clientsThat([silent]);
  submissions.submit(task);
  over.abort();
  await submissions.known();
  expect(submissions.submitted()[0]?.record).toMatchObject({ firstAnswer: "unknown", answer: "unknown" });
  expect(submissions.counts).toEqual({ accepted: 0, rejected: 0, unknown: 1 });
});

test("what has no answer yet is unknown, also before everything ends", async () => {
  const { submissions, asked, over } = clientsThat([silent]);
  submissions.submit(task);
  expect(submissions.submitted()[0]?.record).toMatchObject({ taskId: "short-1", answer: "unknown" });
  while (asked.length < 3) await pause(1, over.signal);
  const [{ record } = { record: undefined }] = submissions.submitted();
  expect(record).toMatchObject({ firstAnswer: "unknown", answer: "unknown" });
  expect(record?.knownAt).toBeGreaterThan(record?.answeredAt ?? 0);
  expect(submissions.submitted()).toHaveLength(1);
  over.abort();
  await submissions.known();
  expect(submissions.submitted()).toHaveLength(1);
});

test("a slow answer keeps nobody from submitting, up to a bound that is counted", () => {
  const { submissions, asked } = clientsThat([() => new Promise(() => undefined)]);
  for (let count = 0; count < 5_010; count += 1) submissions.submit(task);
  expect([asked.length, submissions.skipped]).toEqual([5_000, 10]);
});

test("a submission that is called a duplicate of itself is a bug", async () => {
  const duplicate: Submit = async () => {
    throw new DuplicateTask({ function: "work-1", taskId: "short-1", status: "Running" } as Task);
  };
  const { submissions, over } = clientsThat([silent, duplicate]);
  submissions.submit(task);
  await submissions.known();
  over.abort();
  expect(submissions.submitted()[0]?.record.answer).toBe("accepted");
  expect(submissions.bugs).toEqual(["red/short-1 was called a duplicate of itself"]);
});

test("an accepted task that its client is told does not exist is a bug", async () => {
  const gone = async () => {
    throw new NotFound("not_found", "TASK_NOT_FOUND", "no such task");
  };
  const { submissions, over } = clientsThat([accepted], { stop: gone });
  submissions.submit({ ...task, taskId: "stopped-1", stopAfterMs: 0 });
  await submissions.known();
  over.abort();
  await submissions.watched();
  expect(submissions.bugs).toEqual(["red/stopped-1 was accepted, and its client was told that it is not there"]);
});

test("what clients see as final is written down", async () => {
  const wait = async () => ({ status: "Succeeded", attempt: 2 }) as Awaited<ReturnType<SluiceClient["wait"]>>;
  const { submissions } = clientsThat([accepted], { wait });
  submissions.submit(task);
  await submissions.known();
  await submissions.watched();
  expect(submissions.observations).toMatchObject([
    { account: "red", taskId: "short-1", status: "Succeeded", attempt: 2 },
  ]);
});
