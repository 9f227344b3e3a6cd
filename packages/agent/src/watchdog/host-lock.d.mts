export interface Holder {
  readonly path: string;
  readonly pid: number;
}

export interface HeldLock {
  /** Tells processes in other pid namespaces that the holder lives; call every few seconds. */
  touch(): void;
  release(): void;
}

export function tryHold(dataDir: string): HeldLock | undefined;
export function livingHolders(dataDir: string): Holder[];
export function deadHolders(dataDir: string): Holder[];
