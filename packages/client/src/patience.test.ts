import { expect, test } from "vitest";
import { connect } from "./connect.ts";
import { LocallyThrottled, OutcomeUnknown, Rejected } from "./errors.ts";
import { failure, startFakeServer } from "./testing/index.ts";

const busy = { reason: "THROTTLED", message: "the account has its share", retryAfterMs: 5 };

/** Refused without a look whether it was accepted before. */
const unclear = { reason: "SERVER_BUSY", message: "it was not looked up", retryAfterMs: 5 };

/** Refuses every task so often. */
function refuseFirst(times: number, refusal = busy) {
  const tries = new Map<string, number>();
  return ({ taskId }: { readonly taskId: string }) => {
    const count = (tries.get(taskId) ?? 0) + 1;
    tries.set(taskId, count);
    return count <= times ? refusal : undefined;
  };
}

test("a submission is refused at once unless it may wait, and then comes again as asked", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });
  server.faults.refuse = refuseFirst(2);

  await expect(client.submit({ function: "f", taskId: "hasty" })).rejects.toMatchObject(busy);
  const accepted = await client.submit({ function: "f", taskId: "patient" }, { waitMs: 60_000 });

  expect(accepted).toEqual({ taskId: "patient", repeated: false });
});

test("a submission that may wait too little is refused with what the server said", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });
  server.faults.refuse = () => ({ ...busy, retryAfterMs: 60_000 });

  const submitting = client.submit({ function: "f" }, { waitMs: 1_000 });

  await expect(submitting).rejects.toBeInstanceOf(Rejected);
});

test("an abort ends the wait", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });
  const abort = new AbortController();
  server.faults.refuse = () => {
    setImmediate(() => abort.abort(new Error("enough")));
    return { ...busy, retryAfterMs: 60_000 };
  };

  const submitting = client.submit({ function: "f" }, { signal: abort.signal, waitMs: 3_600_000 });

  await expect(submitting).rejects.toThrow("enough");
});

test("bulk work goes on while a little of it is accepted, however long that takes", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address, retryTimeoutMs: 400 });
  let accepted = 0;
  // One every 30 ms: 40 tasks take three times as long as the time for retries.
  const startedAt = performance.now();
  server.faults.refuse = () => {
    if (accepted >= (performance.now() - startedAt) / 30) return busy;
    accepted += 1;
    return undefined;
  };
  const tasks = Array.from({ length: 40 }, (_, index) => ({ function: "f", taskId: `t${index}` }));

  const results = [];
  for await (const result of client.submitMany(tasks)) results.push(result.ok);

  expect(results).toEqual(new Array(40).fill(true));
});

test("a client whose submissions are mostly refused stops sending them, and says so", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });
  let heard = 0;
  server.faults.refuse = () => {
    heard += 1;
    return busy;
  };

  const errors: unknown[] = [];
  for (let at = 0; at < 300; at++) await client.submit({ function: "f" }).catch((error) => errors.push(error));

  expect(errors.filter((error) => error instanceof LocallyThrottled).length).toBeGreaterThan(200);
  expect(heard).toBeLessThan(100);
});

test("a submission that others may have made before comes again until the server has looked, whoever does not want to wait", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });
  const submission = { function: "f", submissionToken: "order 7" };
  const { taskId } = await client.submit(submission);
  server.faults.refuse = refuseFirst(2, unclear);

  expect(await client.submit(submission)).toEqual({ taskId, repeated: true });
});

test("a submission that nobody else can have made is refused at once, looked up or not", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });
  server.faults.refuse = () => unclear;

  const submitting = client.submit({ function: "f", taskId: "mine" });

  await expect(submitting).rejects.toBeInstanceOf(Rejected);
});

test("once the server has looked, its refusal is believed", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });
  const isUnclear = refuseFirst(1, unclear);
  server.faults.refuse = (task) => isUnclear(task) ?? busy;

  const submitting = client.submit({ function: "f", submissionToken: "order 7" });

  await expect(submitting).rejects.toMatchObject({ code: "rejected", ...busy });
});

test("what the server never looks up ends as unknown, with what it takes to submit it again", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address, retryTimeoutMs: 50 });
  server.faults.refuse = () => unclear;

  const submitting = client.submit({ function: "f", taskId: "t1", submissionToken: "order 7" });

  await expect(submitting).rejects.toBeInstanceOf(OutcomeUnknown);
  await expect(submitting).rejects.toMatchObject({ taskId: "t1", submissionToken: "order 7", reason: "SERVER_BUSY" });
});

test("no refusal is believed of what was sent before on a connection that broke", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });
  server.faults.afterBatch = () => {
    server.faults.afterBatch = () => {};
    server.faults.refuse = refuseFirst(2);
    throw failure("UNAVAILABLE", "the server dies with its answer");
  };

  expect(await client.submit({ function: "f", taskId: "t1" })).toEqual({ taskId: "t1", repeated: true });
});

test("what may exist is sent again although most of its function are refused", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });
  const isUnclear = refuseFirst(1, { ...unclear, retryAfterMs: 200 });
  server.faults.refuse = (task) => (task.taskId === "known" ? isUnclear(task) : busy);

  const submitting = client.submit({ function: "f", taskId: "known", submissionToken: "order 7" });
  for (let at = 0; at < 100; at++) await client.submit({ function: "f" }).catch(() => {});

  expect(await submitting).toEqual({ taskId: "known", repeated: false });
});
