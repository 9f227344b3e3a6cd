export interface ProcessStat {
  readonly pid: number;
  /** `Z` is a zombie. */
  readonly state: string;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  /** Makes a reused pid recognisable. */
  readonly startTime: number;
}

export interface Processes {
  statOf(pid: number): ProcessStat | undefined;
  /** Without zombies. */
  all(): ProcessStat[];
  /** Whether the initial environment of a process has the entry "NAME=value". */
  hasMarker(pid: number, marker: string): boolean;
  /** Two texts without `_` within which pids mean something: host and boot, and namespace. */
  scope(): string[];
}

export const procFs: Processes;
export const psCommand: Processes;
/** The one that this host has. */
export const processes: Processes;
