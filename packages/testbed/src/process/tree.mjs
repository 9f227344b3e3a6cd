// Processes as /proc shows them: who descends from whom, and which of them live. Plain JavaScript because the guard, which
// runs without a TypeScript loader, uses it too. Types: tree.d.mts.
import { readdirSync, readFileSync } from "node:fs";

/** Every process that lives. One that has ended but was not waited for does not. */
function allProcesses() {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => statOf(Number(name)))
    .filter((stat) => stat !== undefined);
}

/** The processes, the members of the groups that they lead, and all of their descendants; only those that live. */
export function treeOf(...pids) {
  const all = allProcesses();
  const roots = all.filter(({ pid, group }) => pids.includes(pid) || pids.includes(group));
  const tree = new Map(roots.map((each) => [each.pid, each]));
  let before = -1;
  while (tree.size > before) {
    before = tree.size;
    for (const each of all) if (tree.has(each.parent)) tree.set(each.pid, each);
  }
  return [...tree.values()];
}

/** Processes that were started with `NAME=value` in their environment. */
export function markedWith(marker) {
  return allProcesses().filter(({ pid }) => {
    try {
      return `\0${readFileSync(`/proc/${pid}/environ`, "latin1")}`.includes(`\0${marker}\0`);
    } catch {
      return false;
    }
  });
}

/** Whether it still lives; a process that has taken over its number is another one. */
export function isAlive({ pid, startTime }) {
  return statOf(pid)?.startTime === startTime;
}

/** Sends the signal, unless the process is gone. */
export function signalTo(pid, name) {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
}

/** Kills processes and whatever they start meanwhile: all are stopped before the first one dies, so none escapes. */
export function killTrees(roots) {
  const found = new Map(roots.filter(isAlive).map((root) => [root.pid, root]));
  let stopped = 0;
  while (found.size > stopped) {
    for (const { pid } of [...found.values()].slice(stopped)) signalTo(pid, "SIGSTOP");
    stopped = found.size;
    for (const each of treeOf(...found.keys())) if (!found.has(each.pid)) found.set(each.pid, each);
  }
  for (const each of found.values()) if (isAlive(each)) signalTo(each.pid, "SIGKILL");
  return [...found.values()];
}

export function statOf(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name in parentheses may itself contain blanks and parentheses.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z" || fields[0] === "X") return undefined;
    return { pid, parent: Number(fields[1]), group: Number(fields[2]), startTime: Number(fields[19]) };
  } catch {
    return undefined;
  }
}
