import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { eventually, isRunning, realClock } from "../instances/testing.ts";
import { acquireHostLock } from "./host-lock.ts";
import { processesMarked } from "./kill-tree.mjs";
import { startWatchdog } from "./watchdog.ts";

interface Parent extends AsyncDisposable {
  readonly process: ChildProcess;
  readonly dataDir: string;
  readonly watchdog: number;
  readonly pids: readonly number[];
  marked(): number[];
}

test("when the agent is killed, its instances die, and only then the lock is free", async () => {
  await using parent = await startParent();
  await eventually(() => parent.marked().length >= 4);

  parent.process.kill("SIGKILL");
  await acquireHostLock(parent.dataDir, { clock: realClock });

  expect(parent.marked()).toEqual([]);
  expect(parent.pids.some(isRunning)).toBe(false);
  await eventually(() => !isRunning(parent.watchdog));
});

test("when the agent is frozen, its instances die after the deadline", async () => {
  await using parent = await startParent(1500);
  const killedBefore = performance.now() + 1500 + 5000;
  parent.process.kill("SIGSTOP");
  expect(parent.marked().length).toBeGreaterThan(0);

  await eventually(() => parent.marked().length === 0 && !isRunning(parent.watchdog));

  expect(performance.now()).toBeLessThan(killedBefore);
  expect(readFileSync(join(parent.dataDir, "watchdog.log"), "utf8")).toContain("no sign of life before the deadline");
});

test("signals to the agent's group do not reach the watchdog", async () => {
  await using parent = await startParent();

  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.kill(parent.watchdog, signal);
  process.kill(-(parent.process.pid ?? 0), "SIGINT");
  await eventually(() => parent.marked().length === 0);

  expect(readFileSync(join(parent.dataDir, "watchdog.log"), "utf8")).toContain("the agent is gone");
});

test("when agent and watchdog are both killed, the next start kills what they left", async () => {
  await using parent = await startParent();
  process.kill(parent.watchdog, "SIGKILL");
  parent.process.kill("SIGKILL");
  await eventually(() => !isRunning(parent.watchdog));
  expect(parent.marked().length).toBeGreaterThan(0);

  await using second = await startWatchdog({ dataDir: parent.dataDir, clock: realClock });

  expect(parent.marked()).toEqual([]);
  expect(isRunning(second.pid)).toBe(true);
  expect(readdirSync(join(parent.dataDir, "host-lock"))).toHaveLength(1);
});

test("a second watchdog waits for the first", async () => {
  await using directory = temporaryDirectory();
  const first = await startWatchdog({ dataDir: directory.path, clock: realClock });
  let hasSecond = false;
  const second = startWatchdog({ dataDir: directory.path, clock: realClock }).then((watchdog) => {
    hasSecond = true;
    return watchdog;
  });
  await realClock.sleep(300);
  expect(hasSecond).toBe(false);

  await first[Symbol.asyncDispose]();

  await using held = await second;
  expect(isRunning(held.pid)).toBe(true);
});

test("of several that start at once, one at a time gets the lock", async () => {
  await using directory = temporaryDirectory();
  let holding = 0;
  let holdingMax = 0;

  await Promise.all(
    [1, 2, 3].map(async () => {
      await using _ = await startWatchdog({ dataDir: directory.path, clock: realClock });
      holdingMax = Math.max(holdingMax, ++holding);
      await realClock.sleep(20);
      holding--;
    }),
  );

  expect(holdingMax).toBe(1);
});

test("an extended deadline holds, and the agent is told when the watchdog goes", async () => {
  await using directory = temporaryDirectory();
  const watchdog = await startWatchdog({ dataDir: directory.path, clock: realClock, firstDeadlineMs: 500 });
  let hasExited = false;
  void watchdog.exited.then(() => {
    hasExited = true;
  });

  for (let index = 0; index < 8; index++) {
    watchdog.extend(400);
    await realClock.sleep(100);
  }
  expect(hasExited).toBe(false);

  await watchdog.exited;
});

function temporaryDirectory() {
  const path = mkdtempSync(join(tmpdir(), "sluice-watchdog-"));
  return { path, [Symbol.asyncDispose]: async () => rmSync(path, { recursive: true, force: true }) };
}

async function startParent(deadlineMs = 60_000): Promise<Parent> {
  const directory = temporaryDirectory();
  const script = fileURLToPath(new URL("parent.fixture.ts", import.meta.url));
  const child = spawn(process.execPath, ["--import", "tsx", script, directory.path, String(deadlineMs)], {
    detached: true,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const { watchdog, pids } = JSON.parse(await firstLine(child)) as { watchdog: number; pids: number[] };
  const marked = () =>
    ["one", "two"].flatMap((name) => processesMarked(`SLUICE_INSTANCE_ID=${directory.path}-${name}`));
  return {
    process: child,
    dataDir: directory.path,
    watchdog,
    pids,
    marked: () => marked().filter(isRunning),
    async [Symbol.asyncDispose]() {
      for (const pid of [child.pid ?? 0, watchdog, ...pids]) kill(pid);
      for (const pid of marked()) kill(pid);
      await directory[Symbol.asyncDispose]();
    },
  };
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Gone already.
  }
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.stdout?.on("data", (chunk) => {
      text += String(chunk);
      if (text.includes("\n")) resolve(text);
    });
    child.once("exit", () => reject(new Error(`the parent ended: ${text}`)));
  });
}
