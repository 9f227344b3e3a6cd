import { AccountId, AppError, createChannel, TaskId } from "@sluice/core";
import { eventually, FakeClock } from "@sluice/core/testing";
import type { SubmitStreamRequest } from "@sluice/protocol";
import { expect, test } from "vitest";
import { all, aSubmission } from "../testing/test-api.ts";
import type { Message, Submitted } from "./submit.ts";
import { createSubmitStream } from "./submit-stream.ts";

test("batches are answered as soon as they are done, in any order", async () => {
  const stream = aStream();
  const answers = all(stream.open());
  stream.input.push(aBatch(1));
  stream.input.push(aBatch(2));
  await eventually(() => stream.pending.length === 2);
  stream.pending[1]?.answer();
  stream.pending[0]?.answer();
  stream.input.close();
  expect((await answers).map(({ batchId }) => batchId)).toEqual([2, 1]);
});

test("a caller that does not read its answers stops its own reading", async () => {
  const stream = aStream({ streamBatchesMax: 4 });
  const answers = stream.open()[Symbol.asyncIterator]();
  for (let batchId = 1; batchId <= 20; batchId++) stream.input.push(aBatch(batchId));
  const first = answers.next();
  await eventually(() => stream.pending.length === 4);
  for (const { answer } of stream.pending) answer();
  expect((await first).value).toMatchObject({ batchId: 1 });
  await stream.clock.settle();
  // Four batches are in the window, answered or not, until the answers are taken.
  expect(stream.pending).toHaveLength(4);
  await answers.next();
  await eventually(() => stream.pending.length === 5);
  stream.end();
});

test("large batches fill the window before its count does", async () => {
  const stream = aStream({ streamBatchesMax: 100, streamBytesMax: 10_000 });
  const answers = all(stream.open());
  for (let batchId = 1; batchId <= 4; batchId++) stream.input.push(aBatch(batchId, Buffer.alloc(4_000)));
  await eventually(() => stream.pending.length === 2);
  await stream.clock.settle();
  expect(stream.pending).toHaveLength(2);
  stream.pending[0]?.answer();
  await eventually(() => stream.pending.length === 3);
  stream.pending[1]?.answer();
  stream.pending[2]?.answer();
  await eventually(() => stream.pending.length === 4);
  stream.pending[3]?.answer();
  stream.input.close();
  expect(await answers).toHaveLength(4);
});

test("a batch that is refused for want of room is answered task by task, and the stream goes on", async () => {
  const stream = aStream();
  const answers = all(stream.open());
  stream.input.push(aBatch(1));
  stream.input.push(aBatch(2));
  await eventually(() => stream.pending.length === 2);
  stream.pending[0]?.fail(new AppError("exhausted", "SERVER_BUSY", "no room", { retryAfterMs: 1_000 }));
  stream.pending[1]?.answer();
  stream.input.close();
  const byBatch = (await answers).sort((a, b) => a.batchId - b.batchId);
  const refused = { reason: "SERVER_BUSY", field: "", message: "no room", retryAfterMs: 1_000 };
  expect(byBatch).toMatchObject([
    { batchId: 1, results: [{ outcome: { $case: "rejected", value: refused } }] },
    { batchId: 2, results: [{ outcome: { $case: "accepted" } }] },
  ]);
});

test("a batch whose outcome is not known fails the stream after the others were answered", async () => {
  const stream = aStream();
  const seen: number[] = [];
  const reading = (async () => {
    for await (const { batchId } of stream.open()) seen.push(batchId);
  })();
  stream.input.push(aBatch(1));
  stream.input.push(aBatch(2));
  await eventually(() => stream.pending.length === 2);
  stream.pending[0]?.fail(new AppError("unavailable", "STORE_UNAVAILABLE", "gone"));
  stream.pending[1]?.answer();
  await expect(reading).rejects.toMatchObject({ reason: "STORE_UNAVAILABLE" });
  expect(seen).toEqual([2]);
});

test("when the server stops, what is in flight is answered and the stream ends as unavailable", async () => {
  const stream = aStream();
  const seen: number[] = [];
  const reading = (async () => {
    for await (const { batchId } of stream.open()) seen.push(batchId);
  })();
  stream.input.push(aBatch(1));
  await eventually(() => stream.pending.length === 1);
  stream.end();
  stream.pending[0]?.answer();
  await expect(reading).rejects.toMatchObject({ reason: "SHUTTING_DOWN" });
  expect(seen).toEqual([1]);
});

test("a caller that gives up ends the stream without an error", async () => {
  const stream = aStream();
  const caller = new AbortController();
  const answers = all(stream.open(caller.signal));
  stream.input.push(aBatch(1));
  await eventually(() => stream.pending.length === 1);
  caller.abort();
  stream.pending[0]?.answer();
  expect(await answers).toHaveLength(1);
});

interface Pending {
  readonly message: Message;
  answer(): void;
  fail(cause: Error): void;
}

function aStream(config: { streamBatchesMax?: number; streamBytesMax?: number } = {}) {
  const clock = new FakeClock();
  const pending: Pending[] = [];
  const stopping = new AbortController();
  const input = createChannel<SubmitStreamRequest>(1_000);
  const submitStream = createSubmitStream({
    authenticate: async () => AccountId("main"),
    submit: (message) =>
      new Promise((resolve, reject) => {
        const accepted: Submitted = { kind: "accepted", taskId: TaskId("t1"), repeated: false };
        pending.push({ message, answer: () => resolve(message.tasks.map(() => accepted)), fail: reject });
      }),
    clock,
    config: { streamBatchesMax: 64, streamBytesMax: 2 ** 25, ...config },
    stopping: stopping.signal,
  });
  return {
    clock,
    pending,
    input,
    open: (signal = new AbortController().signal) => submitStream(input, { signal }),
    end: () => stopping.abort(),
  };
}

function aBatch(batchId: number, payload = Buffer.from("hello")): SubmitStreamRequest {
  return { batchId, tasks: [aSubmission({ payload })] };
}
