// Kills everything that an instance has started, and is certain of it. Plain JavaScript because two processes use it: the
// agent, and the watchdog, which runs without a TypeScript loader. Types: kill-tree.d.mts.
//
// Who belongs to an instance is asked of the kernel in this order:
// 1. its cgroup, which no descendant can leave without privileges, whatever it forks;
// 2. without one: its session and process group, its descendants, and every process whose initial environment carries
//    the instance's marker. Only a child that leaves the session, is orphaned *and* starts with an empty environment
//    escapes this; such hosts need cgroups.
import { readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { processes } from "./processes.mjs";

/** Kills all targets: SIGTERM, then SIGKILL after `graceMs`, then looks until none of their processes is left. */
export async function killTargets(targets, { graceMs, sleep, now, pollMs = 20 }) {
  const left = new Set(targets);
  const killAt = now() + graceMs;
  let terminated = new Set();
  while (left.size > 0) {
    const members = membersOf(left);
    for (const target of [...left]) {
      const pids = members.get(target);
      if (pids.length === 0) {
        left.delete(target);
        continue;
      }
      if (now() >= killAt) kill(target, pids);
      else if (!terminated.has(target)) for (const pid of pids) signal(pid, "SIGTERM");
    }
    terminated = new Set(left);
    if (left.size > 0) await sleep(pollMs);
  }
  await removeCgroups(targets, sleep);
}

/** The living processes of each target. Zombies count as gone: they run nothing, and only their parent can remove them. */
export function membersOf(targets) {
  const members = new Map();
  const scanned = [];
  for (const target of targets) {
    const cgroup = target.cgroups.find(({ role }) => role !== "limit");
    if (cgroup === undefined) scanned.push(target);
    else
      members.set(
        target,
        pidsIn(cgroup.path).filter((pid) => statOf(pid)?.state !== "Z"),
      );
  }
  if (scanned.length === 0) return members;
  const all = processes.all();
  for (const target of scanned) members.set(target, scan(target, all));
  return members;
}

/** What the kernel says of a process; undefined when there is none. `startTime` makes a reused pid recognisable. */
export function statOf(pid) {
  return processes.statOf(pid);
}

/** Processes whose initial environment has the entry `marker` ("NAME=value"). */
export function processesMarked(marker) {
  return processes
    .all()
    .filter(({ pid }) => pid !== process.pid && processes.hasMarker(pid, marker))
    .map(({ pid }) => pid);
}

function kill(target, pids) {
  const cgroup = target.cgroups.find(({ role }) => role !== "limit");
  if (cgroup?.role === "kill") return writeQuietly(`${cgroup.path}/cgroup.kill`, "1");
  // A frozen group cannot fork faster than we kill.
  if (cgroup?.role === "freezer") {
    writeQuietly(`${cgroup.path}/freezer.state`, "FROZEN");
    for (const pid of pidsIn(cgroup.path)) signal(pid, "SIGKILL");
    return writeQuietly(`${cgroup.path}/freezer.state`, "THAWED");
  }
  // Stop all before killing any: a parent that sees its child die could otherwise start the next one.
  for (const pid of pids) signal(pid, "SIGSTOP");
  for (const pid of pids) signal(pid, "SIGKILL");
}

function scan(target, all) {
  const leader = target.pid;
  // Nothing of the instance can be older than its first process, so most of the host needs no second look.
  const young = all.filter(({ startTime }) => startTime >= (target.startTime ?? 0) && startTime > 0);
  const found = new Set();
  for (const { pid, session, group } of young) {
    const inGroup = leader !== undefined && (session === leader || group === leader);
    if (inGroup || processes.hasMarker(pid, target.marker)) found.add(pid);
  }
  for (let grew = true; grew; ) {
    grew = false;
    for (const { pid, parent } of young) {
      if (!found.has(pid) && found.has(parent)) grew = Boolean(found.add(pid));
    }
  }
  found.delete(process.pid);
  return [...found];
}

function pidsIn(path) {
  try {
    return readFileSync(`${path}/cgroup.procs`, "latin1").split("\n").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

async function removeCgroups(targets, sleep) {
  for (const target of targets) {
    for (const { path } of target.cgroups) {
      // The kernel may need a moment after the last process has gone.
      for (let attempt = 0; attempt < 50 && !removed(path); attempt++) await sleep(10);
    }
  }
}

function removed(path) {
  try {
    rmdirSync(path);
    return true;
  } catch (error) {
    return error.code === "ENOENT";
  }
}

function signal(pid, name) {
  try {
    process.kill(pid, name);
  } catch {
    // Gone already, which is what we want.
  }
}

function writeQuietly(path, text) {
  try {
    writeFileSync(path, text);
  } catch {
    // Gone already; the next look finds out.
  }
}
