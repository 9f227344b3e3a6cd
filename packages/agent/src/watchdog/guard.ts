import type { KillTarget } from "./kill-tree.mjs";

export type { CgroupRef, KillTarget } from "./kill-tree.mjs";

/** Whoever must know which processes to kill when the agent cannot do it itself. */
export interface Guard {
  /** Called before the process starts (without a pid), and again with its pid. */
  add(target: KillTarget): void;
  /** Called when the instance is certainly gone. */
  remove(id: string): void;
}

/** Guards nothing; for tests of the pool alone. */
export const noGuard: Guard = { add: () => undefined, remove: () => undefined };
