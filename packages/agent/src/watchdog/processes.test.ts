import { spawn } from "node:child_process";
import { expect, test } from "vitest";
import { processes, procFs, psCommand } from "./processes.mjs";

test("ps tells of a process what /proc tells", () => {
  const [exact, asked] = [procFs.statOf(process.pid), psCommand.statOf(process.pid)];
  expect(asked).toMatchObject({ pid: exact?.pid, parent: exact?.parent, group: exact?.group });
  expect(asked?.startTime).toBeGreaterThan(0);
});

test.each([
  ["/proc", procFs],
  ["ps", psCommand],
])("%s finds a child, knows its end, and has a scope without underscores", async (_name, source) => {
  const child = spawn("sleep", ["60"], { stdio: "ignore" });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  const pid = child.pid as number;
  expect(source.all().map((each) => each.pid)).toContain(pid);
  child.kill("SIGKILL");
  await exited;
  expect(source.statOf(pid)).toBeUndefined();
  expect(source.scope().join("")).toMatch(/^[A-Za-z0-9-]+$/);
});

test("on Linux the kernel is asked directly", () => {
  expect(processes).toBe(process.platform === "linux" ? procFs : psCommand);
});
