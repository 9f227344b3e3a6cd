// An agent in small, for the watchdog's tests: holds a watchdog, starts two hardened children under it, and waits.
import { spawn } from "node:child_process";
import { realClock } from "../instances/testing.ts";
import { scopeOf, scopeVariable } from "./host-lock.ts";
import { statOf } from "./kill-tree.mjs";
import { startWatchdog } from "./watchdog.ts";

const [dataDir = "", deadlineMs = "60000"] = process.argv.slice(2);
const watchdog = await startWatchdog({ dataDir, clock: realClock, firstDeadlineMs: Number(deadlineMs), graceMs: 300 });
const pids = ["one", "two"].map((name) => {
  const marker = `SLUICE_INSTANCE_ID=${dataDir}-${name}`;
  const script =
    "trap '' TERM; setsid sh -c \"trap '' TERM; while :; do sleep 0.2; done\" & while :; do sleep 0.2; done";
  watchdog.add({ id: name, marker, cgroups: [] });
  const child = spawn("sh", ["-c", script], {
    detached: true,
    stdio: "ignore",
    env: { PATH: process.env["PATH"], [scopeVariable]: scopeOf(dataDir), SLUICE_INSTANCE_ID: `${dataDir}-${name}` },
  });
  const pid = child.pid ?? 0;
  watchdog.add({ id: name, marker, pid, startTime: statOf(pid)?.startTime ?? 0, cgroups: [] });
  return pid;
});
process.stdout.write(`${JSON.stringify({ watchdog: watchdog.pid, pids })}\n`);
setInterval(() => undefined, 1000);
