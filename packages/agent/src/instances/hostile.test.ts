import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { eventually, failureOf, isRunning, realClock, resultOf, startPool, withoutCgroups } from "./testing.ts";

const node = `
const { spawn } = require("node:child_process");
const { writeFileSync, writeSync } = require("node:fs");
let calls = 0;
exports.handler = async () => "fine";
exports.pid = async () => process.pid;
exports.block = async () => { for (;;) {} };
exports.never = () => new Promise(() => {});
exports.deaf = async (event) => { process.on("SIGTERM", () => {}); setInterval(() => {}, 1000); return new Promise(() => {}); };
exports.flood = async () => { const line = "x".repeat(1023) + "\\n"; for (let i = 0; i < 20000; i++) process.stdout.write(line); return "flooded"; };
exports.exit = async () => process.exit(7);
exports.die = async () => process.kill(process.pid, "SIGKILL");
exports.later = async () => { setTimeout(() => { throw new Error("thrown later"); }, 1); return new Promise(() => {}); };
exports.large = async (event) => Buffer.alloc(Number(event), 120);
exports.largePipe = async () => { writeSync(4, Buffer.alloc(100, 255)); return new Promise(() => {}); };
exports.memory = async () => { const all = []; for (;;) all.push(Buffer.alloc(8 << 20, 1)); };
// A grandchild in a session of its own, whose parent ends, and which ignores SIGTERM.
const stubborn = (file) => "trap '' TERM; echo $$ > " + file + "; while :; do sleep 0.2; done";
exports.fork = async (event) => {
  spawn("setsid", ["sh", "-c", "setsid sh -c \\"$0\\" & ", stubborn(event.toString())], { stdio: "inherit" });
  return new Promise(() => {});
};
exports.leaveChild = async (event) => { spawn("setsid", ["sh", "-c", stubborn(event.toString())], { stdio: "inherit", detached: true }).unref(); return "left"; };
exports.obedient = (event, { signal }) => new Promise((resolve) => signal.addEventListener("abort", () => resolve("obeyed")));
exports.preStop = async () => writeFileSync(process.env.MARK, "pre-stopped");
exports.slow = () => new Promise((resolve) => setTimeout(resolve, 300, "slow"));
`;
const python = `
import time
def block(event, context):
    while True: pass
def deaf(event, context):
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(100)
def large(event, context): return "x" * int(event)
def flood(event, context):
    for _ in range(20000): print("x" * 1023)
    return "flooded"
`;
const files = { "index.js": node, "main.py": python };

test.each([
  ["nodejs20", "index.block"],
  ["nodejs20", "index.never"],
  ["nodejs20", "index.deaf"],
  ["python3", "main.block"],
  ["python3", "main.deaf"],
])("%s %s times out, its process is gone, and the agent was never blocked", async (runtime, handler) => {
  await using world = startPool(files);
  let longestGapMs = 0;
  let last = performance.now();
  const beat = setInterval(() => {
    longestGapMs = Math.max(longestGapMs, performance.now() - last);
    last = performance.now();
  }, 5);

  const failure = failureOf(await world.run(world.spec({ runtime, handler, timeoutMs: 1000 })));
  clearInterval(beat);

  expect(failure).toMatchObject({ errorType: "FunctionTimeout", class: "retryable" });
  expect(failure.body.errorMessage).toMatch(/^Function timed out after 1 seconds \(maxMemoryUsage: [\d.]+MB\)$/);
  // Who had waited for the function in a blocking way would have stood still for all of its time.
  expect(longestGapMs).toBeLessThan(900);
  await eventually(() => world.pool.instanceCount === 0);
});

test("a deadline before the time-out ends the attempt", async () => {
  await using world = startPool(files);
  await world.run(world.spec());

  const failure = failureOf(
    await world.run(world.spec({ handler: "index.never", revision: 2 }), { deadlineMs: realClock.now() + 1500 }),
  );

  expect(failure.errorType).toBe("FunctionTimeout");
});

test.each([
  ["nodejs20", "index.flood"],
  ["python3", "main.flood"],
])("the log of a %s handler that floods stdout is cut off, and the result is unharmed", async (runtime, handler) => {
  await using world = startPool(files);
  const spec = world.spec({ runtime, handler });

  const outcome = await world.run(spec);
  const shared = await world.run({ ...spec, instanceConcurrency: 2, revision: 2 });

  for (const one of [outcome, shared]) {
    expect(resultOf(one)).toBe("flooded");
    expect(one.log.length).toBeLessThan(1024 * 1024 + 1024);
    expect(one.log).toMatch(
      /\[the log of this attempt is cut off: it exceeds 1048576 bytes\]\nFC Invoke End RequestId: request-1\n$/,
    );
  }
});

test.each(["index.exit", "index.die", "index.memory"])(
  "%s crashes only its own instance, and may be retried",
  async (handler) => {
    await using world = startPool(files);

    const outcome = await world.run(world.spec({ handler, memoryMb: 96 }));

    const failure = failureOf(outcome);
    expect(failure).toMatchObject({ errorType: "UnhandledInvocationError", class: "retryable" });
    expect(failure.body).toEqual({
      errorMessage: expect.stringMatching(
        /^Process exited unexpectedly before completing request \(duration: \d+ms, maxMemoryUsage: [\d.]+MB\)$/,
      ),
    });
    expect(resultOf(await world.run(world.spec({ revision: 2 })))).toBe("fine");
  },
);

test("an error thrown outside the handler is told as the request's own", async () => {
  await using world = startPool(files);

  const failure = failureOf(await world.run(world.spec({ handler: "index.later" })));

  expect(failure).toMatchObject({ errorType: "UnhandledInvocationError", body: { errorMessage: "thrown later" } });
});

test.each([
  ["nodejs20", "index.large"],
  ["python3", "main.large"],
])("a %s result above 256 KiB is a fatal, clear failure", async (runtime, handler) => {
  await using world = startPool(files);
  const spec = world.spec({ runtime, handler });

  const tooLarge = failureOf(await world.run(spec, { payload: Buffer.from("10485760") }));
  const justFits = await world.run(spec, { payload: Buffer.from("262144") });

  expect(tooLarge).toMatchObject({ errorType: "ResultTooLarge", class: "fatal" });
  expect(tooLarge.message).toContain("10485760 bytes; at most 262144");
  expect(resultOf(justFits)).toHaveLength(262_144);
});

test("a handler that writes nonsense to its result pipe loses its instance", async () => {
  await using world = startPool(files);

  const failure = failureOf(await world.run(world.spec({ handler: "index.largePipe" })));

  expect(failure.class).toBe("retryable");
  await eventually(() => world.pool.instanceCount === 0);
});

describe.each([
  ["with cgroups", {}],
  ["without cgroups", withoutCgroups],
])("%s", (_, options) => {
  test("stopping a task kills what it has started, sessions of their own included", async () => {
    await using world = startPool(files, options);
    const file = `${world.directory}/grandchild`;
    const controller = new AbortController();
    const running = world.run(world.spec({ handler: "index.fork" }), { payload: Buffer.from(file) }, controller.signal);
    await eventually(() => existsSync(file) && readFileSync(file, "utf8").endsWith("\n"));
    const grandchild = Number(readFileSync(file, "utf8"));
    expect(isRunning(grandchild)).toBe(true);

    controller.abort();

    expect((await running).kind).toBe("stopped");
    expect(isRunning(grandchild)).toBe(false);
    await eventually(() => readdirSync(`${world.directory}/work`).length === 0);
  });

  test("what a finished task left running dies with its instance", async () => {
    await using world = startPool(files, options);
    const file = `${world.directory}/child`;
    resultOf(await world.run(world.spec({ handler: "index.leaveChild" }), { payload: Buffer.from(file) }));
    await eventually(() => existsSync(file) && readFileSync(file, "utf8").endsWith("\n"));

    await world.pool.killAll();

    expect(isRunning(Number(readFileSync(file, "utf8")))).toBe(false);
    expect(world.pool.instanceCount).toBe(0);
  });
});

test("a stop runs the preStop hook, and a handler that obeys its signal keeps its instance", async () => {
  await using world = startPool(files);
  const mark = `${world.directory}/mark`;
  const spec = world.spec({ environment: { MARK: mark }, preStop: { handler: "index.preStop", timeoutMs: 2000 } });
  const stopStarted = async (handler: string, revision: number) => {
    const controller = new AbortController();
    return world.run(
      { ...spec, handler, revision },
      { onStarted: () => void setTimeout(() => controller.abort(), 50) },
      controller.signal,
    );
  };

  const obedient = await stopStarted("index.obedient", 1);
  expect(obedient.kind).toBe("stopped");
  expect(world.pool.hasWarm(1)).toBe(true);
  expect(existsSync(mark)).toBe(false);

  const stubborn = await stopStarted("index.never", 2);
  expect(stubborn.kind).toBe("stopped");
  expect(readFileSync(mark, "utf8")).toBe("pre-stopped");
  expect(stubborn.log).toMatch(/FC PreStop Start RequestId: request-1\nFC PreStop End RequestId: request-1\n/);
});

test("a result that was there before the stop counts, and one that the stop brought about does not", async () => {
  const code = `
const { existsSync, writeFileSync } = require("node:fs");
exports.busy = async (event, context) => {
  context.signal;
  writeFileSync(process.env.MARK, "runs");
  while (!existsSync(process.env.MARK + "-go"));
  return "done";
};
exports.obedient = (event, context) => new Promise((resolve) => {
  context.signal.addEventListener("abort", () => resolve("half"));
  writeFileSync(process.env.MARK, "runs");
});
exports.terminated = () => new Promise((resolve) => {
  process.on("SIGTERM", () => resolve("half"));
  writeFileSync(process.env.MARK, "runs");
});`;
  await using world = startPool({ "index.js": code }, { limits: { graceMs: 10_000 } });
  const stopOnceRunning = async (handler: string, revision: number, instanceConcurrency = 2) => {
    const mark = `${world.directory}/${handler}`;
    const spec = world.spec({ handler, revision, environment: { MARK: mark }, instanceConcurrency });
    const controller = new AbortController();
    const running = world.run(spec, {}, controller.signal);
    await eventually(() => existsSync(mark));
    controller.abort();
    writeFileSync(`${mark}-go`, "");
    return running;
  };

  expect(resultOf(await stopOnceRunning("index.busy", 1))).toBe("done");
  expect((await stopOnceRunning("index.obedient", 2)).kind).toBe("stopped");
  expect((await stopOnceRunning("index.terminated", 3, 1)).kind).toBe("stopped");
});

test("a shared instance fails the request that timed out and lets the others finish", async () => {
  const handler = `exports.handler = (event) => new Promise((resolve) => { if (event.toString() === "short") setTimeout(resolve, 1200, "done"); });`;
  await using world = startPool({ "index.js": handler }, { limits: { graceMs: 100 } });
  const spec = world.spec({ instanceConcurrency: 2 });

  const stuck = world.run(spec, { payload: Buffer.from("long"), deadlineMs: realClock.now() + 600 });
  const other = world.run(spec, { payload: Buffer.from("short"), requestId: "request-2" });

  expect(failureOf(await stuck).errorType).toBe("FunctionTimeout");
  expect(world.pool.hasWarm(1)).toBe(false);
  expect(resultOf(await other)).toBe("done");
  await eventually(() => world.pool.instanceCount === 0);
});

test("a shared instance whose event loop is blocked is killed after the grace, and its other requests may be retried", async () => {
  const mixed = `let n = 0; exports.handler = () => { if (++n === 2) for (;;) {} return new Promise(() => {}); };`;
  await using blocked = startPool({ "index.js": mixed }, { limits: { graceMs: 200 } });
  const spec = blocked.spec({ instanceConcurrency: 2 });

  const innocent = blocked.run(spec);
  const guilty = blocked.run(spec, { deadlineMs: realClock.now() + 800 });

  expect(failureOf(await guilty).errorType).toBe("FunctionTimeout");
  expect(failureOf(await innocent)).toMatchObject({
    class: "retryable",
    message: expect.stringContaining("Process exited unexpectedly"),
  });
});
