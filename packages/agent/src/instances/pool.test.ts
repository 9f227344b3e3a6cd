import { expect, test } from "vitest";
import type { KillTarget } from "../watchdog/guard.ts";
import { eventually, failureOf, resultOf, startPool } from "./testing.ts";

const files = {
  "index.js": `
exports.pid = async () => String(process.pid);
exports.slow = (event) => new Promise((resolve) => setTimeout(resolve, Number(event), String(process.pid)));
exports.linger = () => new Promise((resolve) => setTimeout(resolve, 1_000));
exports.say = async (event) => {
  const name = event.toString();
  for (let i = 0; i < 3; i++) {
    console.log(name + " says " + i);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  require("node:child_process").execSync("echo child of " + name, { stdio: "inherit" });
};
exports.quick = async (event) => { console.log("x".repeat(5000) + event); return event; };`,
  "main.py": `
import os, time
def say(event, context):
    for i in range(3):
        print(event.decode(), "says", i)
        time.sleep(0.02)
def slow(event, context):
    time.sleep(0.2)
    return str(os.getpid())`,
};

test.each([
  { instancesMax: 3, why: "more than its share" },
  { instancesMax: 1, why: "the only one" },
])(
  "a function with an endless backlog in $why of $instancesMax instances keeps nobody out",
  async ({ instancesMax }) => {
    await using world = startPool(files, { instancesMax });
    const busy = world.spec({ handler: "index.slow", functionName: "busy", revision: 1 });
    let isOver = false;
    const backlog = async () => {
      while (!isOver) await world.run(busy, { payload: Buffer.from("20") });
    };
    const flood = Array.from({ length: 12 }, backlog);
    await eventually(() => world.pool.hasWarm(1) || world.pool.instanceCount === instancesMax);

    const other = await world.run(world.spec({ handler: "index.pid", functionName: "other", revision: 2 }));
    isOver = true;
    await Promise.all(flood);

    expect(other.kind).toBe("succeeded");
  },
);

test("an attempt that still waits when its expiry passes is never started", async () => {
  await using world = startPool(files, { instancesMax: 1 });
  const busy = world.run(world.spec({ handler: "index.slow" }), { payload: Buffer.from("1500") });
  await eventually(() => world.pool.instanceCount === 1);
  let hasStarted = false;
  const onStarted = () => {
    hasStarted = true;
  };
  const late = await world.run(world.spec({ handler: "index.pid" }), {
    startBefore: performance.now() + 100,
    onStarted,
  });

  expect([late.kind, hasStarted]).toEqual(["expired", false]);
  expect((await busy).kind).toBe("succeeded");
});

test("an instance is used again, and ends when it has been idle", async () => {
  await using world = startPool(files);
  const spec = world.spec({ handler: "index.pid", idleTimeoutMs: 200 });

  const first = resultOf(await world.run(spec));
  expect(world.pool.hasWarm(spec.revision)).toBe(true);
  const second = resultOf(await world.run(spec));

  expect(second).toBe(first);
  await eventually(() => world.pool.instanceCount === 0);
  expect(world.pool.hasWarm(spec.revision)).toBe(false);
});

test("a revision that is sent with other bounds keeps its instances, which go by them from then on", async () => {
  await using world = startPool(files);
  const before = world.spec({ handler: "index.pid", idleTimeoutMs: 60_000, latencySensitive: true });
  const first = resultOf(await world.run(before));
  const after = { ...before, idleTimeoutMs: 100, instancesMax: 1, latencySensitive: false };

  expect(resultOf(await world.run(after))).toBe(first);
  await eventually(() => world.pool.instanceCount === 0);
});

test("a new instance is started when all are busy, up to the function's maximum; more wait", async () => {
  await using world = startPool(files);
  const spec = world.spec({ handler: "index.slow", instancesMax: 2 });

  const runs = await Promise.all([1, 2, 3, 4].map(() => world.run(spec, { payload: Buffer.from("150") })));

  expect(new Set(runs.map(resultOf)).size).toBe(2);
  expect(world.pool.instanceCount).toBe(2);
});

test.each([
  ["nodejs20", "index.slow"],
  ["python3", "main.slow"],
])("one %s instance runs several requests at a time", async (runtime, handler) => {
  await using world = startPool(files);
  const spec = world.spec({ runtime, handler, instanceConcurrency: 8, instancesMax: 1 });

  const runs = await Promise.all(Array.from({ length: 8 }, () => world.run(spec, { payload: Buffer.from("200") })));

  expect(new Set(runs.map(resultOf)).size).toBe(1);
});

test("on a full host the longest idle instance of another function makes room", async () => {
  await using world = startPool(files, { instancesMax: 2 });
  const spec = (revision: number) => world.spec({ handler: "index.pid", revision });
  await world.run(spec(1));
  await world.run(spec(2));

  resultOf(await world.run(spec(3)));

  expect([1, 2, 3].map((revision) => world.pool.hasWarm(revision))).toEqual([false, true, true]);
});

test("an attempt that waits for a slot can be stopped", async () => {
  await using world = startPool(files, { instancesMax: 1 });
  const spec = world.spec({ handler: "index.slow" });
  const controller = new AbortController();
  const running = world.run(spec, { payload: Buffer.from("800"), onStarted: () => controller.abort() });
  const waiting = world.run(spec, {}, controller.signal);

  expect((await waiting).kind).toBe("stopped");
  expect((await running).kind).toBe("succeeded");
});

test("two accounts never share an instance, even under one revision", async () => {
  await using world = startPool(files);
  const spec = world.spec({ handler: "index.pid" });

  const one = await world.run(spec);
  const other = await world.run({ ...spec, accountId: "other" });

  expect(resultOf(one)).not.toBe(resultOf(other));
});

test.each([
  ["nodejs20", "index.say"],
  ["python3", "main.say"],
])("what requests print in one shared %s instance lands in their own logs", async (runtime, handler) => {
  await using world = startPool(files);
  const spec = world.spec({ runtime, handler, instanceConcurrency: 2, instancesMax: 1 });
  await world.run(spec, { payload: Buffer.from("warm") });

  const [ann, bob] = await Promise.all(["ann", "bob"].map((name) => world.run(spec, { payload: Buffer.from(name) })));

  const said = (log = "") => log.split("\n").filter((line) => line.includes(" says "));
  expect(said(ann?.log)).toEqual(["ann says 0", "ann says 1", "ann says 2"]);
  expect(said(bob?.log)).toEqual(["bob says 0", "bob says 1", "bob says 2"]);
  if (runtime === "nodejs20") expect(ann?.log).toContain("child of ann");
});

test("output never moves to the next request of an instance", async () => {
  await using world = startPool(files);
  const spec = world.spec({ handler: "index.quick", instancesMax: 1 });

  for (let index = 0; index < 50; index++) {
    const { log } = await world.run(spec, { payload: Buffer.from(`#${index};`), requestId: "r" });
    expect(
      log.endsWith(`FC Invoke Start RequestId: r\n${"x".repeat(5000)}#${index};\nFC Invoke End RequestId: r\n`),
    ).toBe(true);
  }
});

test("the guard knows of an instance before it starts, and until it is gone", async () => {
  const events: string[] = [];
  const guard = {
    add: (target: KillTarget) => void events.push(target.pid === undefined ? "announced" : "started"),
    remove: () => void events.push("removed"),
  };
  await using world = startPool(files, { guard });

  await world.run(world.spec({ handler: "index.pid" }));
  expect(events).toEqual(["announced", "started"]);
  await world.pool[Symbol.asyncDispose]();

  expect(events).toEqual(["announced", "started", "removed"]);
});

test("code that is refused makes the attempt invalid; code that cannot be fetched may be retried", async () => {
  const bad = Object.assign(new Error("a bomb"), { name: "BadPackage" });
  const source = (error: Error) => ({ code: { acquire: () => Promise.reject(error) } });
  await using refusing = startPool(files, source(bad));
  await using unreachable = startPool(files, source(new Error("no answer")));

  expect(await refusing.run(refusing.spec())).toMatchObject({
    kind: "invalid",
    reason: "BadPackage",
    message: "a bomb",
  });
  expect(failureOf(await unreachable.run(unreachable.spec()))).toMatchObject({
    errorType: "InstanceUnavailable",
    class: "retryable",
  });
  expect(refusing.pool.instanceCount).toBe(0);
});

test("a closed pool starts nothing", async () => {
  await using world = startPool(files);
  await world.pool.killAll();

  const failure = failureOf(await world.run(world.spec()));

  expect(failure.errorType).toBe("InstanceUnavailable");
});

test("instances together take no more memory than the host gives them: the longest idle one makes room", async () => {
  await using world = startPool(files, { memoryMaxMb: 512 });
  const spec = (revision: number) => world.spec({ handler: "index.pid", revision, memoryMb: 256 });
  await world.run(spec(1));
  await world.run(spec(2));

  resultOf(await world.run(spec(3)));

  expect([1, 2, 3].map((revision) => world.pool.hasWarm(revision))).toEqual([false, true, true]);
});

test("a function that needs all the memory gets it in spite of an endless backlog of small ones, and one that needs more runs alone", async () => {
  await using world = startPool(files, { memoryMaxMb: 512 });
  const small = world.spec({ handler: "index.slow", functionName: "small", revision: 1, memoryMb: 128 });
  let isOver = false;
  const backlog = async () => {
    while (!isOver) await world.run(small, { payload: Buffer.from("20") });
  };
  const flood = Array.from({ length: 8 }, backlog);
  await eventually(() => world.pool.hasWarm(1) || world.pool.instanceCount === 4);

  const large = world.spec({ handler: "index.pid", functionName: "large", revision: 2, memoryMb: 600 });
  const outcome = await world.run(large);
  isOver = true;
  await Promise.all(flood);

  expect(outcome.kind).toBe("succeeded");
});

test("one instance of a latency-sensitive function outlives its idle time, until it has a successor", async () => {
  await using world = startPool(files);
  const spec = (revision: number) =>
    world.spec({ handler: "index.slow", revision, idleTimeoutMs: 50, latencySensitive: true });
  const two = [1, 2].map(() => world.run(spec(1), { payload: Buffer.from("100") }));
  await Promise.all(two);
  await eventually(() => world.pool.instanceCount === 1);
  const other = world.spec({ handler: "index.pid", functionName: "other", revision: 3, idleTimeoutMs: 200 });
  await world.run(other);
  await eventually(() => !world.pool.hasWarm(3));
  expect(world.pool.hasWarm(1)).toBe(true);

  await world.run(spec(2), { payload: Buffer.from("1") });
  await eventually(() => !world.pool.hasWarm(1));
  expect(world.pool.hasWarm(2)).toBe(true);
});

test("of two instances of a latency-sensitive function that are idle at the same time, one stays", async () => {
  await using world = startPool(files);
  // The second has been idle for long enough while the first has not ended yet.
  const lingers = { idleTimeoutMs: 50, preStop: { handler: "index.linger", timeoutMs: 2_000 } };
  const spec = world.spec({ handler: "index.slow", latencySensitive: true, ...lingers });
  await Promise.all([1, 2].map(() => world.run(spec, { payload: Buffer.from("300") })));
  await eventually(() => world.pool.instanceCount === 1);
  expect(world.pool.hasWarm(spec.revision)).toBe(true);
});

test("an instance leaves for a function that has none, also behind waiting attempts of the one that has all", async () => {
  await using world = startPool(files, { instancesMax: 3 });
  const busy = world.spec({ handler: "index.slow", functionName: "busy", revision: 1, instancesMax: 100 });
  const stop = new AbortController();
  let started = 0;
  const onStarted = () => {
    started++;
  };
  const invocation = { payload: Buffer.from("60000"), onStarted };
  const flood = Array.from({ length: 6 }, () => world.run(busy, invocation, stop.signal));
  await eventually(() => started === 3);
  const other = world.run(world.spec({ handler: "index.pid", functionName: "other", revision: 2 }));

  await eventually(() => world.pool.leavingInstances?.().length === 1);
  stop.abort();
  expect((await other).kind).toBe("succeeded");
  await Promise.all(flood);
});
