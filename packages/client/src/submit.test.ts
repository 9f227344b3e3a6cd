import { TaskStatus } from "@sluice/protocol";
import { expect, test, vi } from "vitest";
import { connect } from "./connect.ts";
import {
  DuplicateTask,
  Exhausted,
  Internal,
  OutcomeUnknown,
  Rejected,
  SluiceError,
  Unauthenticated,
  Unavailable,
} from "./errors.ts";
import { failure, startFakeServer } from "./testing/index.ts";

const eventually = (check: () => void) => vi.waitFor(check, { timeout: 10_000, interval: 5 });
const gate = () => {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
};

test("a thousand concurrent submissions travel in a few messages on one stream", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });

  const accepted = await Promise.all(
    Array.from({ length: 1000 }, (_, index) => client.submit({ function: "f", taskId: `t${index}`, payload: "x" })),
  );

  expect(accepted.map((answer) => answer.taskId)).toEqual(Array.from({ length: 1000 }, (_, index) => `t${index}`));
  expect(server.tasks.stored.size).toBe(1000);
  expect(server.batches.length).toBeLessThan(10);
  expect(server.streamCount).toBe(1);
});

test("a submission carries every setting, and an id and a token that the client made", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });
  const seen: unknown[] = [];
  server.faults.beforeBatch = (batch) => void seen.push(...batch.tasks);

  await client.submit({
    function: "f",
    payload: new Uint8Array([0, 255]),
    priority: "urgent",
    delayMs: 5,
    expiresAfterMs: 6,
    tags: ["nightly"],
  });

  expect(seen).toEqual([
    {
      function: "f",
      taskId: expect.stringMatching(/^[a-z][A-Za-z0-9_-]{10,127}$/),
      payload: Buffer.from([0, 255]),
      priority: 1,
      delayMs: 5,
      expiresAfterMs: 6,
      submissionToken: expect.stringMatching(/^.{10,128}$/),
      tags: ["nightly"],
    },
  ]);
});

test("the same token without an id leads to the same task from every client", async () => {
  await using server = await startFakeServer();
  await using one = connect({ address: server.address });
  await using other = connect({ address: server.address });

  const first = await one.submit({ function: "f", submissionToken: "order-17" });
  const second = await other.submit({ function: "f", submissionToken: "order-17" });

  expect(second).toEqual({ taskId: first.taskId, repeated: true });
  expect(first.repeated).toBe(false);
});

test("messages keep their bounds of tasks, bytes and number in flight", async () => {
  await using server = await startFakeServer();
  const bounds = { batchTasksMax: 10, batchBytesMax: 10_000, inFlightBatchesMax: 2 };
  await using client = connect({ address: server.address, submit: bounds });
  const { open, opened } = gate();
  let arrived = 0;
  const sizes: number[] = [];
  server.faults.beforeBatch = async (batch) => {
    arrived += 1;
    sizes.push(batch.tasks.reduce((sum, task) => sum + task.payload.length, 0));
    await opened;
  };

  const small = Array.from({ length: 100 }, () => client.submit({ function: "f" }));
  const large = Array.from({ length: 20 }, () => client.submit({ function: "f", payload: Buffer.alloc(3_000) }));
  const huge = client.submit({ function: "f", payload: Buffer.alloc(50_000) });
  await eventually(() => expect(arrived).toBe(1));
  open();
  await Promise.all([...small, ...large, huge]);

  expect(Math.max(...server.batches)).toBe(10);
  expect(sizes.filter((bytes) => bytes > 10_000)).toEqual([50_000]);
});

test("streams that break before and after the batch is stored lose nothing and submit nothing twice", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address, submit: { batchTasksMax: 50 } });
  let count = 0;
  const breakSome = (remainder: number) => () => {
    count += 1;
    if (count < 30 && count % 5 === remainder) throw failure("UNAVAILABLE", "going away");
  };
  server.faults.beforeBatch = breakSome(2);
  server.faults.afterBatch = breakSome(4);

  const accepted = await Promise.all(
    Array.from({ length: 1000 }, (_, index) => client.submit({ function: "f", payload: String(index) })),
  );

  expect(server.streamCount).toBeGreaterThan(2);
  expect(server.tasks.stored.size).toBe(1000);
  expect(new Set(accepted.map((answer) => answer.taskId)).size).toBe(1000);
  expect(accepted.some((answer) => answer.repeated)).toBe(true);
  const payloads = [...server.tasks.stored.values()].map(({ task }) => Number(task.payload.toString()));
  expect(new Set(payloads).size).toBe(1000);
});

test("a server that is killed and comes back on the same address gets every submission once", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });
  const { open, opened } = gate();
  server.faults.afterBatch = () => opened;
  const submissions = Promise.all(Array.from({ length: 100 }, () => client.submit({ function: "f" })));
  await eventually(() => expect(server.batches.length).toBeGreaterThan(0));

  delete server.faults.afterBatch;
  await server.restart();
  open();

  const accepted = await submissions;
  expect(accepted.every((answer) => answer.repeated)).toBe(true);
  expect(server.tasks.stored.size).toBe(100);
});

test("a stream that does not answer is left, and its submissions are sent again", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address, submit: { answerTimeoutMs: 50 } });
  const { open, opened } = gate();
  let isFirst = true;
  server.faults.afterBatch = async () => {
    if (!isFirst) return;
    isFirst = false;
    await opened;
  };

  const answer = await client.submit({ function: "f" });

  open();
  expect(answer.repeated).toBe(true);
  expect(server.streamCount).toBe(2);
});

test("when the time for retries is over the outcome is unknown, and the error says how to repeat it", async () => {
  const server = await startFakeServer();
  server.stop();
  await using client = connect({ address: server.address, retryTimeoutMs: 200 });

  const error = await client.submit({ function: "f", taskId: "a", submissionToken: "token" }).catch((cause) => cause);

  expect(error).toBeInstanceOf(OutcomeUnknown);
  expect(error).toBeInstanceOf(Unavailable);
  expect(error).toMatchObject({ code: "unavailable", taskId: "a", submissionToken: "token" });
});

test("a duplicate is an error that holds the existing task", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });
  server.faults.becomes = () => ({ status: TaskStatus.SUCCEEDED });
  await client.submit({ function: "f", taskId: "a" });

  const error = await client.submit({ function: "f", taskId: "a" }).catch((cause) => cause);

  expect(error).toBeInstanceOf(DuplicateTask);
  expect(error).toMatchObject({ code: "duplicate", reason: "TASK_EXISTS", name: "DuplicateTask" });
  expect(error.existing).toMatchObject({ function: "f", taskId: "a", status: "Succeeded" });
});

test("a refusal is an error with its reason, its own field and the time to wait; the neighbours are accepted", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });
  server.faults.refuse = (submission) =>
    submission.function === "f"
      ? undefined
      : { reason: "TOO_BUSY", message: "wait", field: "tasks[1].function", retryAfterMs: 70 };

  const answers = await Promise.allSettled([client.submit({ function: "f" }), client.submit({ function: "g" })]);

  expect(answers[0]?.status).toBe("fulfilled");
  const error = (answers[1] as PromiseRejectedResult).reason;
  expect(error).toBeInstanceOf(Rejected);
  expect(error).toMatchObject({ code: "rejected", reason: "TOO_BUSY", field: "function", retryAfterMs: 70 });
});

test("what cannot be sent is refused before it can harm the stream", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });
  const refusals = [
    [{ function: "f", delayMs: 0.5 }, "INVALID_DURATION", "delayMs"],
    [{ function: "f", expiresAfterMs: -1 }, "INVALID_DURATION", "expiresAfterMs"],
    [{ function: "f", delayMs: 2 ** 60 }, "INVALID_DURATION", "delayMs"],
    [{ function: "f", priority: "asap" }, "INVALID_PRIORITY", "priority"],
    [{ function: "f", payload: { a: 1 } }, "INVALID_PAYLOAD", "payload"],
    [{ function: 7 }, "INVALID_ARGUMENT", "function"],
    [{ function: "f", payload: Buffer.alloc(5_000_000) }, "PAYLOAD_TOO_LARGE", "payload"],
  ] as const;

  for (const [submission, reason, field] of refusals) {
    const error = await client.submit(submission as never).catch((cause) => cause);
    expect(error).toBeInstanceOf(Rejected);
    expect(error).toMatchObject({ reason, field });
  }
  expect(server.streamCount).toBe(0);
});

test("a wrong credential fails at once, and a right one is sent with the stream", async () => {
  await using server = await startFakeServer({ authorization: "Bearer key:secret" });
  await using wrong = connect({ address: server.address, accessKeyId: "key", accessKeySecret: "no" });
  await using right = connect({ address: server.address, accessKeyId: "key", accessKeySecret: "secret" });

  await expect(wrong.submit({ function: "f" })).rejects.toBeInstanceOf(Unauthenticated);
  await expect(right.submit({ function: "f" })).resolves.toMatchObject({ repeated: false });
  expect(() => connect({ accessKeyId: "key" })).toThrow(SluiceError);
  expect(() => connect({ accessKeyId: "key\n", accessKeySecret: "secret" })).toThrow("accessKeyId");
});

test("a server that fails with a bug each time is tried five times", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });
  server.faults.beforeBatch = () => {
    throw new Error("bug");
  };

  await expect(client.submit({ function: "f" })).rejects.toBeInstanceOf(Internal);
  expect(server.streamCount).toBe(5);
});

test("a stream that is refused for a while comes back after the time that the server names", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });
  let count = 0;
  server.faults.beforeBatch = () => {
    count += 1;
    if (count === 1) throw Object.assign(failure("RESOURCE_EXHAUSTED", "slow down"), { retryAfterMs: 20 });
    if (count === 2) throw failure("RESOURCE_EXHAUSTED", "never");
  };

  await expect(client.submit({ function: "f" })).rejects.toBeInstanceOf(Exhausted);
  expect(count).toBe(2);
});

test("an abort withdraws what was not sent, and ends the wait for what was", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address, submit: { batchTasksMax: 1, inFlightBatchesMax: 1 } });
  const { open, opened } = gate();
  server.faults.beforeBatch = () => opened;
  const abort = new AbortController();
  const sent = client.submit({ function: "f", taskId: "sent" }, { signal: abort.signal }).catch((cause) => cause);
  const waiting = client.submit({ function: "f", taskId: "waiting" }, { signal: abort.signal }).catch((cause) => cause);
  await eventually(() => expect(server.batches.length).toBe(1));

  abort.abort(new Error("enough"));
  expect(await sent).toMatchObject({ message: "enough" });
  expect(await waiting).toMatchObject({ message: "enough" });
  open();
  await client.submit({ function: "f", taskId: "later" });

  expect([...server.tasks.stored.keys()]).toEqual(["f/sent", "f/later"]);
  await expect(client.submit({ function: "f" }, { signal: abort.signal })).rejects.toThrow("enough");
});

test("too many waiting submissions are refused, not piled up", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address, submit: { pendingTasksMax: 10 } });

  const answers = await Promise.allSettled(Array.from({ length: 12 }, () => client.submit({ function: "f" })));

  const refused = answers.filter((answer) => answer.status === "rejected");
  expect(refused.map((answer) => answer.reason.reason)).toEqual(["TOO_MANY_PENDING", "TOO_MANY_PENDING"]);
});

test("closing waits for the answers and then refuses", async () => {
  await using server = await startFakeServer();
  const client = connect({ address: server.address });
  const answer = client.submit({ function: "f" });

  await client.close();

  await expect(answer).resolves.toMatchObject({ repeated: false });
  await expect(client.submit({ function: "f" })).rejects.toMatchObject({ reason: "CLIENT_CLOSED" });
});

test("closing does not wait for answers that nobody waits for", async () => {
  await using server = await startFakeServer();
  const client = connect({ address: server.address });
  const { open, opened } = gate();
  server.faults.beforeBatch = () => opened;
  const abort = new AbortController();
  const answer = client.submit({ function: "f" }, { signal: abort.signal }).catch((cause) => cause);
  await eventually(() => expect(server.batches.length).toBe(1));

  abort.abort(new Error("enough"));
  await client.close();

  expect(await answer).toMatchObject({ message: "enough" });
  open();
});
