export interface ProcessStat {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  /** Clock ticks since the machine started; with the pid it names a process for good. */
  readonly startTime: number;
}

export function treeOf(...pids: number[]): ProcessStat[];
export function markedWith(marker: string): ProcessStat[];
export function isAlive(process: ProcessStat): boolean;
export function signalTo(pid: number, name: NodeJS.Signals): void;
export function killTrees(roots: readonly ProcessStat[]): ProcessStat[];
export function statOf(pid: number): ProcessStat | undefined;
