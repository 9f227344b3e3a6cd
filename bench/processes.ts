// What processes have used, as Linux counts it. A service's children (instances, the watchdog) are counted with it.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

/** Name of a group of processes → the process that started them. */
export type Processes = Readonly<Record<string, number>>;

export interface Usage {
  /** User and system time of the process itself, in s. */
  readonly cpuSeconds: number;
  readonly rssMb: number;
}

const ticksPerSecond = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

/** By name; what they started is summed up as `<name>/children`, but for those that have a name themselves. */
export function usageOf(processes: Processes): Record<string, Usage> {
  const children = childrenByParent();
  const usages: Record<string, Usage> = {};
  for (const [name, pid] of Object.entries(processes)) {
    const below = descendants(pid, children, new Set(Object.values(processes)));
    usages[name] = usage(pid);
    if (below.length > 0) usages[`${name}/children`] = sum(below.map(usage));
  }
  return usages;
}

/** CPU of each group between two readings, in µs per task. */
export function cpuMicrosPerTask(
  before: Record<string, Usage>,
  after: Record<string, Usage>,
  tasks: number,
): Record<string, number> {
  return Object.fromEntries(
    Object.entries(after).map(([name, { cpuSeconds }]) => {
      const used = cpuSeconds - (before[name]?.cpuSeconds ?? 0);
      return [name, Math.round((used / tasks) * 1e6)];
    }),
  );
}

function usage(pid: number): Usage {
  const fields = statOf(pid);
  const rssKb = /VmRSS:\s+(\d+)/.exec(read(`/proc/${pid}/status`))?.[1] ?? 0;
  // utime and stime; fields are counted from behind the command, which may contain anything.
  return {
    cpuSeconds: (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / ticksPerSecond,
    rssMb: Math.round(Number(rssKb) / 1024),
  };
}

function sum(usages: readonly Usage[]): Usage {
  return {
    cpuSeconds: usages.reduce((total, { cpuSeconds }) => total + cpuSeconds, 0),
    rssMb: usages.reduce((total, { rssMb }) => total + rssMb, 0),
  };
}

function childrenByParent(): Map<number, number[]> {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
    const parent = Number(statOf(Number(name))[1] ?? 0);
    children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  return children;
}

function descendants(
  pid: number,
  children: ReadonlyMap<number, readonly number[]>,
  except: ReadonlySet<number>,
): number[] {
  const own = (children.get(pid) ?? []).filter((child) => !except.has(child));
  return own.flatMap((child) => [child, ...descendants(child, children, except)]);
}

/** What follows the command in `/proc/<pid>/stat`; empty when the process is gone. */
function statOf(pid: number): string[] {
  const text = read(`/proc/${pid}/stat`);
  return text === "" ? [] : text.slice(text.lastIndexOf(")") + 2).split(" ");
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
