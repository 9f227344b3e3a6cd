// What each fault that happens at a moment does.
import type { Dice } from "../dice.ts";
import type { FaultKind } from "../faults.ts";
import type { World } from "../world.ts";
import { linkStrikes } from "./links.ts";
import { operatorStrikes } from "./operator.ts";
import { processStrikes } from "./processes.ts";
import { systemStrikes } from "./systems.ts";

export interface StrikeContext {
  readonly world: World;
  /** Of this strike alone. */
  readonly dice: Dice;
  /** Undoes it after so long, in ms, or when everything heals. */
  cureAfter(ms: number, cure: () => void): void;
}

/** Lets it happen, and says what was struck. */
export type StrikeAction = (context: StrikeContext) => string | Promise<string>;

export function createStrikes(world: World): Readonly<Record<FaultKind, StrikeAction>> {
  return { ...processStrikes, ...linkStrikes, ...systemStrikes, ...operatorStrikes(world) };
}
