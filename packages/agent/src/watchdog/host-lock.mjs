// The host lock: one watchdog at a time may guard the instances of a data directory. Types: host-lock.d.mts.
//
// Each contender creates a file of its own whose *name* says who it is, then looks for others and gives up when it
// sees a living one. Of two contenders at least one sees the other, so two can never both hold it; and because no name
// is ever used twice, the file of a dead holder can be deleted without a race.
import { mkdirSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { processes } from "./processes.mjs";

/** A holder in another pid namespace cannot be asked for; it is alive while its file is touched. */
const touchedWithinMs = 15_000;

/** Takes the lock for this process, or returns undefined when a living process has it. */
export function tryHold(dataDir) {
  const directory = lockDirectory(dataDir);
  const path = join(directory, nameOf(process.pid));
  writeFileSync(path, "");
  if (livingHolders(dataDir).some((holder) => holder.path !== path)) {
    rmSync(path, { force: true });
    return undefined;
  }
  return {
    touch: () => {
      try {
        utimesSync(path, new Date(), new Date());
      } catch {
        // Somebody removed the directory; nobody else can be holding the lock by our file then.
      }
    },
    release: () => rmSync(path, { force: true }),
  };
}

export function livingHolders(dataDir) {
  return holders(dataDir).filter(isAlive);
}

/** The files that dead holders left behind. Whoever removes them must first have killed what they guarded. */
export function deadHolders(dataDir) {
  return holders(dataDir).filter((holder) => !isAlive(holder));
}

function holders(dataDir) {
  const directory = lockDirectory(dataDir);
  return readdirSync(directory).flatMap((name) => {
    const [boot, namespace, pid, startTime] = name.split("_");
    return startTime === undefined
      ? []
      : [{ path: join(directory, name), boot, namespace, pid: +pid, startTime: +startTime }];
  });
}

function isAlive({ path, boot, namespace, pid, startTime }) {
  const [ownBoot, ownNamespace] = processes.scope();
  if (boot !== ownBoot) return false;
  if (namespace === ownNamespace) {
    const stat = processes.statOf(pid);
    return stat !== undefined && stat.startTime === startTime && stat.state !== "Z";
  }
  try {
    return Date.now() - statSync(path).mtimeMs < touchedWithinMs;
  } catch {
    return false;
  }
}

function lockDirectory(dataDir) {
  const directory = join(dataDir, "host-lock");
  mkdirSync(directory, { recursive: true });
  return directory;
}

const nameOf = (pid) => [...processes.scope(), pid, processes.statOf(pid)?.startTime ?? 0].join("_");
