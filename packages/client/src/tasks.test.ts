import { LogStream, TaskStatus } from "@sluice/protocol";
import { expect, test, vi } from "vitest";
import { connect } from "./connect.ts";
import { InvalidArgument, NotFound, TimedOut, Unavailable, WaitTimedOut } from "./errors.ts";
import { aTask, failure, startFakeServer } from "./testing/index.ts";
import { json, type Task, text } from "./types.ts";

const eventually = (check: () => void) => vi.waitFor(check, { timeout: 10_000, interval: 5 });

async function start(options: { retryTimeoutMs?: number } = {}) {
  const server = await startFakeServer();
  const client = connect({ address: server.address, ...options });
  return {
    server,
    client,
    async [Symbol.asyncDispose]() {
      await client.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

test("a task has names for numbers, undefined for nothing, and bytes that read as text and JSON", async () => {
  await using world = await start();
  const error = { type: "FunctionTimeout", message: "too slow", body: Buffer.from("{}") };
  const fields = {
    status: TaskStatus.FAILED,
    priority: 1,
    endedAtMs: 5,
    result: Buffer.from('{"a":1}'),
    error,
  } as const;
  world.server.faults.becomes = () => fields;
  await world.client.submit({ function: "f", taskId: "a", payload: "hé" });

  const task = await world.client.get("f", "a");

  expect(task).toMatchObject({
    status: "Failed",
    priority: "urgent",
    endedAtMs: 5,
    dueAtMs: undefined,
    agentId: undefined,
  });
  expect(task.error).toEqual({ type: "FunctionTimeout", message: "too slow", body: "{}" });
  expect(text(task.payload)).toBe("hé");
  expect(json(task.result)).toEqual({ a: 1 });
  expect(json(new Uint8Array())).toBeUndefined();
  expect(() => text(new Uint8Array([255]))).toThrow(TypeError);
});

test("a status that this client does not know is Unknown", async () => {
  await using world = await start();
  world.server.faults.becomes = () => ({ status: 42 as TaskStatus });
  await world.client.submit({ function: "f", taskId: "a" });

  expect((await world.client.get("f", "a")).status).toBe("Unknown");
});

test("calls that may be repeated are repeated while the server is away, up to the bound", async () => {
  await using world = await start({ retryTimeoutMs: 300 });
  await world.client.submit({ function: "f", taskId: "a" });
  const calls: string[] = [];
  let failures = 2;
  world.server.faults.beforeCall = (name) => {
    calls.push(name);
    if (failures-- > 0) throw failure("UNAVAILABLE", "away");
  };

  expect((await world.client.get("f", "a")).taskId).toBe("a");
  expect(calls).toEqual(["getTask", "getTask", "getTask"]);

  failures = Number.POSITIVE_INFINITY;
  await expect(world.client.get("f", "a")).rejects.toBeInstanceOf(Unavailable);
  calls.length = 0;
  const create = world.client.functions.create({ name: "f", settings: {}, codeZip: Buffer.from("zip") });
  await expect(create).rejects.toBeInstanceOf(Unavailable);
  expect(calls).toEqual(["createFunction"]);
});

test("what does not exist is NotFound, at once", async () => {
  await using world = await start();

  await expect(world.client.get("f", "none")).rejects.toBeInstanceOf(NotFound);
  await expect(world.client.wait("f", "none")).rejects.toBeInstanceOf(NotFound);
  await expect(world.client.watch("f", "none").next()).rejects.toBeInstanceOf(NotFound);
  await expect(world.client.log("f", "none").next()).rejects.toBeInstanceOf(NotFound);
});

test("a list reads page after page and passes the filters on", async () => {
  await using world = await start();
  const ids = Array.from({ length: 25 }, (_, index) => `t${index}`);
  await Promise.all(ids.map((taskId) => world.client.submit({ function: "f", taskId })));
  await world.client.submit({ function: "g", taskId: "other" });

  const listed: string[] = [];
  for await (const task of world.client.list({ function: "f", pageSize: 10 })) listed.push(task.taskId);
  const page = await world.client.listPage({ function: "f" });

  expect(listed).toEqual(ids);
  expect(page.tasks.length).toBe(20);
  expect(page.nextPageToken).toBe("20");
  await expect(world.client.listPage({ status: "Finished" as never })).rejects.toBeInstanceOf(InvalidArgument);
});

test("a wait ends with the final task", async () => {
  await using world = await start();
  await world.client.submit({ function: "f", taskId: "a" });

  const waiting = world.client.wait("f", "a");
  await world.client.get("f", "a");
  world.server.tasks.change("a", { status: TaskStatus.SUCCEEDED });

  expect((await waiting).status).toBe("Succeeded");
});

test("a wait that takes too long throws with the task as it is", async () => {
  await using world = await start();
  await world.client.submit({ function: "f", taskId: "a" });

  const error = await world.client.wait("f", "a", { timeoutMs: 30 }).catch((cause) => cause);

  expect(error).toBeInstanceOf(WaitTimedOut);
  expect(error).toBeInstanceOf(TimedOut);
  expect(error.task.status).toBe("Enqueued");
});

test("an abort ends every call with the signal's reason", async () => {
  await using world = await start();
  await world.client.submit({ function: "f", taskId: "a" });
  const abort = new AbortController();
  const options = { signal: abort.signal };
  world.server.faults.beforeCall = (name) => (name === "getTask" ? new Promise(() => {}) : undefined);

  const watching = world.client.watch("f", "a", options);
  await watching.next();
  const calls = [world.client.get("f", "a", options), world.client.wait("f", "a", options), watching.next()];
  const outcomes = Promise.allSettled(calls);
  abort.abort(new Error("enough"));

  expect((await outcomes).map((outcome) => (outcome as PromiseRejectedResult).reason.message)).toEqual(
    Array(3).fill("enough"),
  );
  await expect(world.client.stop("f", "a", options)).rejects.toThrow("enough");
});

test("a watch reconnects, does not repeat a state, and ends with the final one", async () => {
  await using world = await start();
  await world.client.submit({ function: "f", taskId: "a" });
  let breaks = 0;
  world.server.faults.afterWatchState = (task) => {
    breaks += 1;
    if (task.status !== TaskStatus.SUCCEEDED && breaks <= 3) throw failure("UNAVAILABLE", "going away");
  };
  const states: string[] = [];

  const watching = (async () => {
    for await (const task of world.client.watch("f", "a")) states.push(task.status);
  })();
  await eventually(() => expect(breaks).toBeGreaterThanOrEqual(3));
  world.server.tasks.change("a", { status: TaskStatus.RUNNING });
  await eventually(() => expect(states).toContain("Running"));
  world.server.tasks.change("a", { status: TaskStatus.SUCCEEDED });
  await watching;

  expect(states).toEqual(["Enqueued", "Running", "Succeeded"]);
});

test("stop asks to stop and returns the task", async () => {
  await using world = await start();
  await world.client.submit({ function: "f", taskId: "a" });

  const task: Task = await world.client.stop("f", "a");

  expect(task).toMatchObject({ status: "Stopped", stopRequested: true });
});

test("a log comes as it was written, with the stream it was written to", async () => {
  await using world = await start();
  await world.client.submit({ function: "f", taskId: "a" });
  const chunk = { attempt: 1, stream: LogStream.STDERR, timeMs: 7, data: Buffer.from([0xc3]) };
  world.server.logs.set("a", [chunk, { ...chunk, stream: LogStream.STDOUT }]);

  const chunks = [];
  for await (const piece of world.client.log("f", "a")) chunks.push(piece);

  expect(chunks).toEqual([
    { attempt: 1, stream: "stderr", timeMs: 7, data: Buffer.from([0xc3]) },
    { attempt: 1, stream: "stdout", timeMs: 7, data: Buffer.from([0xc3]) },
  ]);
});

test("the server's health is read from the standard service", async () => {
  await using world = await start();

  expect(await world.client.health()).toBe("serving");
});

test("a builder's task has the shape of the wire", () => {
  expect(aTask({ taskId: "x" })).toMatchObject({ taskId: "x", function: "f" });
});
