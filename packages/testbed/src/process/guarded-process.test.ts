import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { until } from "../time.ts";
import { type ProcessOptions, startProcess } from "./guarded-process.ts";
import { isAlive, treeOf } from "./tree.mjs";

const folder = mkdtempSync(join(tmpdir(), "sluice-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

let count = 0;
function shell(script: string, options: Partial<ProcessOptions> = {}) {
  count += 1;
  const logFile = join(folder, `${count}.log`);
  const running = startProcess({ name: "shell", command: "/bin/sh", args: ["-c", script], logFile, ...options });
  const log = () => readFileSync(logFile, "utf8");
  return { running, log, says: (text: string) => until(() => log().includes(text), { what: text, timeoutMs: 60_000 }) };
}

test("a process gets the environment that is given and no other, and what it prints is in its log", async () => {
  const { running, log } = shell("echo out; echo err >&2; env", { env: { COLOR: "blue" } });
  expect(await running.exited).toEqual({ code: 0, signal: null });
  const lines = log().split("\n");
  expect(lines).toEqual(expect.arrayContaining(["out", "err", "COLOR=blue"]));
  expect(lines.filter((line) => /^(?:HOME|NODE_|VITEST)/.test(line))).toEqual([]);
  expect([running.pid, running.exit]).toEqual([undefined, { code: 0, signal: null }]);
});

test("a program that is not there is an exit with its error", async () => {
  const running = startProcess({ name: "none", command: "/no/such", args: [], logFile: join(folder, "none.log") });
  expect(await running.exited).toMatchObject({ code: null, error: { code: "ENOENT" } });
  await running.stop();
});

test("a process that does not end in time is killed", async () => {
  const { running, says } = shell("trap '' TERM; echo ready; while :; do sleep 100; done", { stopTimeoutMs: 100 });
  await says("ready");
  await running.stop();
  expect(running.exit).toMatchObject({ signal: "SIGKILL" });
});

test("a frozen process can be stopped", async () => {
  const { running, says } = shell("trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done");
  await says("ready");
  running.kill("SIGSTOP");
  await running.stop();
  expect(running.exit).toEqual({ code: 3, signal: null });
});

test("a stop waits for what the process has started", async () => {
  const { running, says } = shell("(trap '' TERM; sleep 0.3) & trap 'exit 0' TERM; echo ready; wait");
  await says("ready");
  const family = treeOf(running.pid as number);
  expect(family.length).toBeGreaterThan(1);
  await running.stop();
  expect(family.filter(isAlive)).toEqual([]);
});

test("SIGKILL reaches children in other sessions too when they are one with the process", async () => {
  const { running, says } = shell("setsid sleep 1000 & echo ready; wait", { isOneWithItsChildren: true });
  await says("ready");
  const hasChild = () => treeOf(running.pid as number).length > 1;
  await until(hasChild, { what: "no child", timeoutMs: 60_000 });
  const family = treeOf(running.pid as number);
  await running.stop("SIGKILL");
  expect(family.filter(isAlive)).toEqual([]);
});
