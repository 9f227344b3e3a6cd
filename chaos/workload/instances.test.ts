import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test, vi } from "vitest";
import { instancesOf } from "./instances.ts";

test("a process is found by the ledger in its environment, with its ancestors, where the kernel tells them", async () => {
  const path = `/nowhere/ledger-${process.pid}`;
  const child = spawn("sleep", ["60"], { env: { ...process.env, LEDGER: path, FC_INSTANCE_ID: "i-7" } });
  const ended = once(child, "exit");
  const expected = {
    pid: child.pid,
    instanceId: "i-7",
    ancestors: expect.arrayContaining([process.pid, process.ppid]),
  };
  try {
    const found = process.platform === "linux" ? [expected] : [];
    await vi.waitFor(() => expect(instancesOf(path)).toEqual(found));
    expect(instancesOf(`${path}-of-another`)).toEqual([]);
  } finally {
    child.kill("SIGKILL");
    await ended;
  }
  expect(instancesOf(path)).toEqual([]);
});
