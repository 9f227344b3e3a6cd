// What the operating system says of processes: from /proc on Linux, from `ps` elsewhere. Plain JavaScript because the
// watchdog, which runs without a TypeScript loader, uses it too. Types: processes.d.mts.
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

/** Reads /proc: exact, and fast enough to look at every process of the host. */
export const procFs = {
  statOf(pid) {
    try {
      const text = readFileSync(`/proc/${pid}/stat`, "latin1");
      // The name in parentheses may itself contain blanks and parentheses.
      const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
      return {
        pid,
        state: fields[0],
        parent: +fields[1],
        group: +fields[2],
        session: +fields[3],
        startTime: +fields[19],
      };
    } catch {
      return undefined;
    }
  },
  all() {
    return readdirSync("/proc")
      .filter((name) => /^\d/.test(name))
      .map((name) => procFs.statOf(+name))
      .filter(isAlive);
  },
  hasMarker(pid, marker) {
    try {
      return `\0${readFileSync(`/proc/${pid}/environ`, "latin1")}\0`.includes(`\0${marker}\0`);
    } catch {
      return false;
    }
  },
  /** Names this boot of this host and this view of its processes: pids mean something only within it. */
  scope: () => [
    readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim(),
    readlinkSync("/proc/self/ns/pid").replace(/\D/g, ""),
  ],
};

/** Asks `ps`, as macOS and the BSDs have it: seconds instead of ticks, and no sessions. */
export const psCommand = {
  statOf: (pid) => psCommand.list(["-p", String(pid)])[0],
  all: () => psCommand.list(["-ax"]).filter(isAlive),
  hasMarker(pid, marker) {
    // Only the owner of a process may see its environment, and the agent owns its instances.
    return ` ${ps(["-Eww", "-p", String(pid), "-o", "command="])} `.includes(` ${marker} `);
  },
  scope: () => [hostname().replace(/[^A-Za-z0-9-]/g, "-"), "0"],
  list(selection) {
    return ps([...selection, "-o", "pid=,ppid=,pgid=,state=,lstart="])
      .split("\n")
      .flatMap((line) => {
        const [pid, parent, group, state, ...started] = line.trim().split(/\s+/);
        if (state === undefined) return [];
        const startTime = Date.parse(started.join(" ")) / 1000;
        return [{ pid: +pid, parent: +parent, group: +group, session: +group, state: state[0], startTime }];
      });
  },
};

export const processes = existsSync("/proc/self/stat") ? procFs : psCommand;

function isAlive(stat) {
  return stat !== undefined && stat.state !== "Z" && stat.state !== "X";
}

function ps(flags) {
  try {
    return execFileSync("ps", flags, {
      encoding: "utf8",
      env: { PATH: "/bin:/usr/bin", LC_ALL: "C" },
      stdio: ["ignore", "pipe", "ignore"],
    });
  } catch {
    // It exits with 1 when there is no such process.
    return "";
  }
}
