// Random calls that mostly make sense: of owners that own or did, about rows that exist or did, with attempts that are or were
// the current ones.
import type { Dice } from "../dice.ts";
import type { Call } from "./calls.ts";
import { batchCall, controlCall } from "./random-control.ts";
import { Draws } from "./random-draws.ts";
import { laneCall, writeCall } from "./random-lanes.ts";
import { accountCall, agentCall, functionCall } from "./random-registries.ts";
import { insertCall, logCall, taskCall } from "./random-tasks.ts";
import type { Tables } from "./tables.ts";

export class RandomCalls {
  readonly #draws: Draws;

  /** `tables`: what the calls so far have led to. */
  constructor(dice: Dice, tables: Tables, now: () => number) {
    this.#draws = new Draws(dice, tables, now);
  }

  next(): Call {
    const draws = this.#draws;
    const { dice } = draws;
    draws.begin();
    if (dice.chance(0.15)) return dice.chance(0.4) ? controlCall(draws) : batchCall(draws);
    const kind = dice.between(1, 100);
    if (kind <= 15) return insertCall(draws);
    if (kind <= 25) return taskCall(draws);
    if (kind <= 45) return writeCall(draws);
    if (kind <= 78) return laneCall(draws);
    if (kind <= 87) return functionCall(draws);
    if (kind <= 95) return agentCall(draws);
    return dice.chance(0.5) ? accountCall(draws) : logCall(draws);
  }
}
