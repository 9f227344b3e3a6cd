import type { SubmitStreamRequest, SubmitStreamResponse, TaskSubmission } from "@sluice/protocol";
import { expect, test } from "vitest";
import type { Answer } from "./answer.ts";
import { Channel } from "./channel.ts";
import { createPreparer } from "./prepare.ts";
import { Submitter } from "./submitter.ts";
import { type System, system } from "./system.ts";

/** An api that keeps what is sent and answers when it is told to. */
function aQuietApi() {
  const sent: SubmitStreamRequest[] = [];
  const answers = new Channel<SubmitStreamResponse>();
  const accept = (tasks: TaskSubmission[]) =>
    tasks.map(({ taskId }) => ({ outcome: { $case: "accepted" as const, value: { taskId, repeated: false } } }));
  return {
    sent,
    answer: ({ batchId, tasks }: SubmitStreamRequest, results = accept(tasks)) => answers.push({ batchId, results }),
    submitStream(requests: AsyncIterable<SubmitStreamRequest>): AsyncIterable<SubmitStreamResponse> {
      void (async () => {
        for await (const request of requests) sent.push(request);
      })();
      return answers;
    },
  };
}

const options = {
  batchTasksMax: 2,
  batchBytesMax: 1_000_000,
  inFlightBatchesMax: 3,
  pendingTasksMax: 1_000,
  answerTimeoutMs: 30_000,
  retryTimeoutMs: 60_000,
  sentPerAccepted: 2,
};
const turn = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));

test("messages without an answer are bounded, answered in any order, and what waits gathers meanwhile", async () => {
  const api = aQuietApi();
  const submitter = new Submitter(api, system, options);
  const prepare = createPreparer(system);
  const answers: Answer[] = [];
  for (let index = 0; index < 20; index += 1) {
    submitter.add(prepare({ function: "f", taskId: `t${index}` }), (answer) => answers.push(answer));
  }

  await turn();
  expect(api.sent.map(({ tasks }) => tasks.length)).toEqual([2, 2, 2]);

  api.answer(api.sent[2] as SubmitStreamRequest);
  await turn();
  expect(answers.map((answer) => answer.ok && answer.taskId)).toEqual(["t4", "t5"]);
  expect(api.sent.length).toBe(4);

  for (let index = 0; index < 20 && answers.length < 20; index += 1) {
    for (const request of api.sent) api.answer(request);
    await turn();
  }
  expect(answers.length).toBe(20);
  await submitter.close();
});

test("a submission that was given up is not sent, and nobody is told of it", async () => {
  const api = aQuietApi();
  const submitter = new Submitter(api, system, options);
  const prepare = createPreparer(system);
  const answers: Answer[] = [];
  const settle = (answer: Answer) => void answers.push(answer);

  const giveUp = submitter.add(prepare({ function: "f", taskId: "gone" }), settle);
  submitter.add(prepare({ function: "f", taskId: "kept" }), settle);
  giveUp();
  await turn();
  for (const request of api.sent) api.answer(request);
  await turn();

  expect(api.sent.flatMap(({ tasks }) => tasks.map((task) => task.taskId))).toEqual(["kept"]);
  expect(answers).toEqual([{ ok: true, taskId: "kept", repeated: false }]);
  await submitter.close();
});

test("an answer of the wrong length breaks the stream instead of shifting answers to other tasks", async () => {
  const api = aQuietApi();
  const delays: number[] = [];
  const timers: (() => void)[] = [];
  const recording: System = {
    ...system,
    timer: (ms, callback) => {
      delays.push(ms);
      timers.push(callback);
      return () => {};
    },
  };
  const submitter = new Submitter(api, recording, options);
  const answers: Answer[] = [];
  submitter.add(createPreparer(system)({ function: "f", taskId: "a" }), (answer) => void answers.push(answer));
  await turn();

  api.answer(api.sent[0] as SubmitStreamRequest, []);
  await turn();
  expect(answers).toEqual([]);
  expect(Math.min(...delays)).toBeLessThanOrEqual(50);

  for (const fire of timers) fire();
  await turn();
  expect(api.sent.map(({ tasks }) => tasks)).toEqual([api.sent[0]?.tasks, api.sent[0]?.tasks]);
});
