// The guard: a small process that outlives whoever started it just long enough to end the processes and delete the folders
// that are left. Nothing else could after a kill -9.
//
//   holding ── pipe closed ──▶ ending (a signal, then patience) ──▶ killing ──▶ deleting ──▶ exit
//
// It reads commands from stdin, one JSON object a line: `{"add": <id>, pid?, signal?}` before a process is started and again
// when its pid is known, `{"remove": <id>}` when it is gone, `{"folder": <path>}` and `{"forget": <path>}`.
// argv: marker in the environment of every process that is started.
import { rmSync } from "node:fs";
import { removeSharedMemory } from "./shared-memory.mjs";
import { isAlive, killTrees, markedWith, signalTo, statOf, treeOf } from "./tree.mjs";

const marker = process.argv[2];
// PostgreSQL releases its shared memory, and an agent's watchdog ends the instances, when their parent is killed.
const patienceMs = 6_000;
const pollMs = 10;
/** Between fork and exec nobody can see whose process it is; look again. */
const settleMs = 200;

const targets = new Map();
const folders = new Set();
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// A signal to the terminal's or the service's whole group must stop our starter, whose end we then see on the pipe.
for (const name of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGPIPE"]) process.on(name, () => {});

let rest = "";
process.stdin.setEncoding("utf8");
process.stdin.on("data", (text) => {
  const lines = (rest + text).split("\n");
  rest = lines.pop();
  for (const line of lines) obey(JSON.parse(line));
});
process.stdin.on("end", () => void cleanUp());
process.stdin.on("error", () => void cleanUp());

function obey(command) {
  if (command.add !== undefined) {
    // Remember when it started: its number may be another process's by the time we look.
    const root = command.pid === undefined ? undefined : statOf(command.pid);
    if (root !== undefined || command.pid === undefined) targets.set(command.add, { root, signal: command.signal });
  }
  if (command.remove !== undefined) targets.delete(command.remove);
  if (command.folder !== undefined) folders.add(command.folder);
  if (command.forget !== undefined) folders.delete(command.forget);
}

let isCleaning = false;
async function cleanUp() {
  if (isCleaning) return;
  isCleaning = true;
  if ([...targets.values()].some(({ root }) => root === undefined)) await sleep(settleMs);
  const left = endAll();
  for (let waitedMs = 0; waitedMs < patienceMs && left.some(isAlive); waitedMs += pollMs) await sleep(pollMs);
  while (markedWith(marker).length > 0 || left.some(isAlive)) {
    left.push(...killTrees([...left, ...markedWith(marker)]));
    await sleep(pollMs);
  }
  for (const folder of folders) {
    removeSharedMemory(folder);
    try {
      rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
    } catch {
      // The others still need deleting.
    }
  }
  process.exit(0);
}

/** Asks every process that was started to end; returns all that must be gone afterwards. */
function endAll() {
  const left = new Map();
  for (const { root, signal = "SIGKILL" } of targets.values()) {
    if (root === undefined || !isAlive(root)) continue;
    for (const each of treeOf(root.pid)) left.set(each.pid, each);
    signalTo(root.pid, signal);
  }
  for (const each of markedWith(marker)) left.set(each.pid, each);
  // One that was stopped (SIGSTOP) would not see its signal.
  for (const each of left.values()) if (isAlive(each)) signalTo(each.pid, "SIGCONT");
  return [...left.values()];
}
