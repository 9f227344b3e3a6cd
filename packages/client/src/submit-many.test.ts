import { expect, test, vi } from "vitest";
import { connect } from "./connect.ts";
import { DuplicateTask, Rejected } from "./errors.ts";
import type { SubmitResult } from "./submit-many.ts";
import { failure, startFakeServer } from "./testing/index.ts";
import type { Submission } from "./types.ts";

const eventually = (check: () => void) => vi.waitFor(check, { timeout: 10_000, interval: 5 });

function* numbered(count: number, taken: { count: number } = { count: 0 }): Generator<Submission> {
  for (let index = 0; index < count; index += 1) {
    taken.count += 1;
    yield { function: "f", taskId: `t${index}`, payload: String(index) };
  }
}
async function collect(results: AsyncIterable<SubmitResult>): Promise<SubmitResult[]> {
  const all: SubmitResult[] = [];
  for await (const result of results) all.push(result);
  return all;
}

test("results come in the order of the input, also when the stream breaks in between", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address, submit: { batchTasksMax: 100 } });
  let count = 0;
  server.faults.afterBatch = () => {
    count += 1;
    if (count === 3 || count === 9) throw failure("UNAVAILABLE", "going away");
  };

  const results = await collect(client.submitMany(numbered(5_000)));

  expect(results.map((result) => result.index)).toEqual(Array.from({ length: 5_000 }, (_, index) => index));
  expect(results.every((result) => result.ok && result.taskId === `t${result.index}`)).toBe(true);
  expect(server.tasks.stored.size).toBe(5_000);
  expect(server.streamCount).toBe(3);
});

test("a reader that stops holds up the input at the bound of tasks", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });
  const taken = { count: 0 };

  const results = client.submitMany(numbered(1_000, taken), { inFlightTasksMax: 50 });
  await results.next();
  await eventually(() => expect(server.tasks.stored.size).toBeGreaterThanOrEqual(50));

  // One more is in the hand of the filler, and one was read.
  expect(taken.count).toBeLessThanOrEqual(52);
  await results.return(undefined);
  expect(taken.count).toBeLessThanOrEqual(53);
});

test("a server that does not answer holds up the input at the bound of bytes", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  server.faults.beforeBatch = () => opened;
  let taken = 0;
  async function* large(): AsyncGenerator<Submission> {
    for (let index = 0; index < 100; index += 1) {
      taken += 1;
      yield { function: "f", payload: Buffer.alloc(10_000) };
    }
  }

  const results = collect(client.submitMany(large(), { inFlightBytesMax: 100_000 }));
  await eventually(() => expect(server.batches.length).toBeGreaterThan(0));
  expect(taken).toBeLessThanOrEqual(12);
  open();

  expect((await results).length).toBe(100);
});

test("duplicates and refusals are results; a busy server is tried again with the same token", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });
  await client.submit({ function: "f", taskId: "t1" });
  const tokens = new Map<string, Set<string>>();
  server.faults.refuse = ({ taskId, submissionToken }) => {
    const seen = tokens.get(taskId) ?? new Set();
    tokens.set(taskId, seen.add(submissionToken));
    if (taskId === "t2") return { reason: "NO", message: "never" };
    const tries = (attempts.get(taskId) ?? 0) + 1;
    attempts.set(taskId, tries);
    return taskId === "t3" && tries < 3 ? { reason: "BUSY", message: "wait", retryAfterMs: 5 } : undefined;
  };
  const attempts = new Map<string, number>();

  const results = await collect(client.submitMany(numbered(5)));

  expect(results.map((result) => result.ok)).toEqual([true, false, false, true, true]);
  expect(results[1]).toMatchObject({ taskId: "t1", error: expect.any(DuplicateTask) });
  expect(results[2]).toMatchObject({ taskId: "t2", error: expect.any(Rejected) });
  expect(attempts.get("t3")).toBe(3);
  expect(tokens.get("t3")?.size).toBe(1);
});

test("an item that cannot be sent is a refusal in its place", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });

  const results = await collect(
    client.submitMany([{ function: "f" }, { function: "f", delayMs: Number.NaN }, { function: "f" }]),
  );

  expect(results.map((result) => result.ok)).toEqual([true, false, true]);
});

test("a failure of the input is thrown after the results of what came before it", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });
  function* broken(): Generator<Submission> {
    yield* numbered(3);
    throw new Error("the file ended early");
  }
  const results: SubmitResult[] = [];

  const reading = async () => {
    for await (const result of client.submitMany(broken())) results.push(result);
  };

  await expect(reading()).rejects.toThrow("the file ended early");
  expect(results.length).toBe(3);
});

test("a failure of the whole is thrown", async () => {
  await using server = await startFakeServer({ authorization: "Bearer a:b" });
  await using client = connect({ address: server.address });

  await expect(collect(client.submitMany(numbered(3)))).rejects.toMatchObject({ code: "unauthenticated" });
});

test("an abort ends it with the signal's reason, even while the input and the server are silent", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });
  const abort = new AbortController();
  async function* silent(): AsyncGenerator<Submission> {
    yield* numbered(2);
    await new Promise(() => {});
  }

  const results = client.submitMany(silent(), { signal: abort.signal });
  await results.next();
  await results.next();
  const third = results.next();
  abort.abort(new Error("enough"));

  await expect(third).rejects.toThrow("enough");
});
