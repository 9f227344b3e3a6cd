// The watchdog: a small process that outlives a killed or frozen agent just long enough to kill the agent's instances.
// Without it, the children of a stopped agent go on, and a second attempt of their tasks runs beside them.
//
//   holding ── pipe closed, or deadline passed ──▶ killing ── nothing left ──▶ lock released, exit
//
// It reads commands from stdin, one a line: `alive <deadline>` (ms on the monotonic clock that all processes of a host
// share), `add <JSON target>` (again with the same id to tell its pid), `remove <id>`.
// argv: data directory, first deadline (ms from now), grace between SIGTERM and SIGKILL (ms).
import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tryHold } from "./host-lock.mjs";
import { killTargets } from "./kill-tree.mjs";

const [dataDir, firstMs, graceMs] = process.argv.slice(2);
// An instance announced without a pid may be between fork and exec, where nobody can see whose it is; look again.
const settleMs = 300;
const touchEveryMs = 2_000;

const targets = new Map();
const now = () => Number(process.hrtime.bigint() / 1000n) / 1000;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let deadline = now() + Number(firstMs);
let isKilling = false;

// A signal to the terminal's or the service's whole group must stop the agent, whose end we then see on the pipe.
for (const name of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGPIPE"]) process.on(name, () => {});
try {
  writeFileSync("/proc/self/oom_score_adj", "-900");
} catch {
  // Needs privileges. Without them we are merely as likely a victim as anybody.
}

const lock = tryHold(dataDir);
if (lock === undefined) {
  process.stdout.write("busy\n", () => process.exit(0));
} else {
  process.stdout.on("error", () => {});
  process.stdout.write("held\n");
  listen();
  watchDeadline();
  setInterval(() => lock.touch(), touchEveryMs);
}

function listen() {
  let rest = "";
  process.stdin.setEncoding("utf8");
  process.stdin.on("data", (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    for (const line of lines) obey(line);
  });
  process.stdin.on("end", () => void killAll("the agent is gone"));
  process.stdin.on("error", () => void killAll("the agent is gone"));
}

function obey(line) {
  const blank = line.indexOf(" ");
  const argument = line.slice(blank + 1);
  switch (line.slice(0, blank)) {
    case "alive":
      deadline = Number(argument);
      break;
    case "add": {
      const target = JSON.parse(argument);
      targets.set(target.id, target);
      break;
    }
    case "remove":
      // Once we kill, only what we have seen gone ourselves is gone.
      if (!isKilling) targets.delete(argument);
      break;
  }
}

function watchDeadline() {
  const left = deadline - now();
  if (left > 0) setTimeout(watchDeadline, Math.min(left, 2 ** 31 - 1));
  else void killAll("no sign of life before the deadline");
}

async function killAll(reason) {
  if (isKilling) return;
  isKilling = true;
  if (targets.size > 0) report(`${reason}; killing ${targets.size} instances`);
  const killAt = now() + Number(graceMs);
  while (targets.size > 0) {
    const round = [...targets.values()];
    await killTargets(round, { graceMs: Math.max(0, killAt - now()), sleep, now });
    if (round.some(({ pid }) => pid === undefined)) {
      await sleep(settleMs);
      await killTargets(round, { graceMs: 0, sleep, now });
    }
    // An agent that woke up may have added more meanwhile.
    for (const target of round) if (targets.get(target.id) === target) targets.delete(target.id);
  }
  lock.release();
  process.exit(0);
}

function report(text) {
  try {
    appendFileSync(join(dataDir, "watchdog.log"), `${new Date().toISOString()} ${text}\n`);
  } catch {
    // A full disk must not keep us from killing.
  }
}
