/** A cgroup of one instance. `limit`: only bounds resources; the others name how its members are killed. */
export interface CgroupRef {
  readonly path: string;
  readonly role: "kill" | "freezer" | "procs" | "limit";
}

/** How to find every process of one instance. */
export interface KillTarget {
  readonly id: string;
  /** "NAME=value" in the initial environment of its processes. */
  readonly marker: string;
  /** Leader of its session and process group; unknown until it has been started. */
  readonly pid?: number;
  readonly startTime?: number;
  readonly cgroups: readonly CgroupRef[];
}

export interface KillOptions {
  /** Time between SIGTERM and SIGKILL; 0 kills at once. */
  readonly graceMs: number;
  sleep(ms: number): Promise<void>;
  /** Monotonic, ms. */
  now(): number;
  readonly pollMs?: number;
}

export interface ProcessStat {
  readonly pid: number;
  readonly state: string;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  readonly startTime: number;
}

export function killTargets(targets: Iterable<KillTarget>, options: KillOptions): Promise<void>;
export function membersOf<T extends KillTarget>(targets: Iterable<T>): Map<T, number[]>;
export function statOf(pid: number): ProcessStat | undefined;
export function processesMarked(marker: string): number[];
