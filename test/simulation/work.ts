// How busy the thread of a simulated scheduler is: it works for a share of the time that changes now and then, without cause, so
// that owners are relieved in runs in which nothing waits for long.
import type { Clock } from "@sluice/core";
import type { Dice } from "./dice.ts";

const shares = [0.05, 0.3, 0.97];
const steadyMs = { from: 10_000, to: 30_000 };

/** Only grows, with the clock. */
export function modelledWork(clock: Clock, dice: Dice): () => number {
  let at = clock.monotonic();
  let worked = 0;
  let share = dice.pick(shares);
  let changesAt = at + dice.between(steadyMs.from, steadyMs.to);
  return () => {
    const now = clock.monotonic();
    worked += share * (now - at);
    at = now;
    if (now >= changesAt) {
      share = dice.pick(shares);
      changesAt = now + dice.between(steadyMs.from, steadyMs.to);
    }
    return worked;
  };
}
