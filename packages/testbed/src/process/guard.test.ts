// Nothing may be left of a process that was killed, whatever it had started.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { until } from "../time.ts";
import { isAlive, type ProcessStat } from "./tree.mjs";

interface Started {
  readonly child: ChildProcess;
  readonly pid: number;
  /** The guard among them. */
  readonly processes: readonly ProcessStat[];
  readonly folders: readonly string[];
}

const starters: ChildProcess[] = [];
afterEach(() => {
  for (const child of starters.splice(0)) child.kill("SIGKILL");
});

async function starter(what: string): Promise<Started> {
  const fixture = join(import.meta.dirname, "starter.fixture.ts");
  const child = spawn(process.execPath, ["--import", "tsx", fixture, what], {
    detached: true,
    stdio: ["ignore", "pipe", "inherit"],
  });
  starters.push(child);
  let text = "";
  for await (const chunk of child.stdout) {
    text += String(chunk);
    if (text.includes("\n")) break;
  }
  return { child, pid: child.pid as number, ...(JSON.parse(text) as Omit<Started, "child" | "pid">) };
}

async function nothingIsLeft({ processes, folders }: Started): Promise<void> {
  expect(processes.filter(isAlive)).not.toEqual([]);
  expect(folders.every((folder) => existsSync(folder))).toBe(true);
  const isGone = () => !processes.some(isAlive) && !folders.some((folder) => existsSync(folder));
  await until(isGone, { what: "something is left", timeoutMs: 60_000 });
}

/** Segments of shared memory of the machine. */
function sharedMemory(): string[] {
  return spawnSync("ipcs", ["-m"], { encoding: "utf8" }).stdout.match(/^0x.*$/gm) ?? [];
}

test("backends and their folders go with a starter that is killed", async () => {
  const before = sharedMemory().length;
  const started = await starter("backends");
  expect(started.processes.length).toBeGreaterThanOrEqual(8);
  expect(started.folders).toHaveLength(4);
  const ended = nothingIsLeft(started);
  process.kill(started.pid, "SIGKILL");
  await ended;
  expect(sharedMemory().length).toBeLessThanOrEqual(before);
});

test.each(["SIGKILL", "SIGINT", "SIGHUP"] as const)(
  "%s to the starter's whole group leaves nothing",
  async (signal) => {
    const started = await starter("frozen");
    const ended = nothingIsLeft(started);
    process.kill(-started.pid, signal);
    await ended;
  },
);

test("what ignores signals goes too, with its children in other sessions", async () => {
  const started = await starter("family");
  expect(started.processes.length).toBeGreaterThanOrEqual(4);
  const ended = nothingIsLeft(started);
  process.kill(started.pid, "SIGKILL");
  await ended;
});
