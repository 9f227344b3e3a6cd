// Lets the faults of a plan happen, each kind at its own pace, until it is told to heal.
//
// When the strikes of a kind come and what each of them draws depends on nothing but the seed: a strike that is left out
// shifts no other one. That is what shrinking a failure needs.
import type { Dice } from "./dice.ts";
import { calm, type FaultKind, type FaultPlan, faultKinds } from "./faults.ts";
import { createStrikes, type StrikeContext } from "./strikes/index.ts";
import type { World } from "./world.ts";

/** A fault that happened at a moment. */
export interface Strike {
  /** In the order of occurrence, from 0; strikes that were left out count. */
  readonly index: number;
  /** True time, ms. */
  readonly at: number;
  readonly kind: FaultKind;
  readonly what: string;
}

export interface FaultOptions {
  /** Only strikes with these numbers have an effect; default: all. */
  readonly only?: ReadonlySet<number>;
}

export interface FaultDriver {
  /** Those that had an effect, in order. */
  readonly strikes: readonly Strike[];
  /**
   * No more faults: links heal, frozen processes go on, and what is down comes back; at once, or when the time of each is over,
   * which may be two minutes later. Returns the true time at which the last one has ended.
   */
  heal(options: { readonly atOnce: boolean }): number;
}

export function startFaults(world: World, plan: FaultPlan, { only }: FaultOptions = {}): FaultDriver {
  const dice = world.dice.fork("faults");
  const happened: { -readonly [K in keyof Strike]: Strike[K] }[] = [];
  /** And when they are due, in true time. */
  const cures = new Map<() => void, number>();
  const strikes = createStrikes(world);
  let count = 0;
  let isHealed = false;
  world.rates = plan.rates;

  function schedule(kind: FaultKind, everyMs: number, own: Dice, nth: number): void {
    world.clock.timer(own.between(1, 2 * everyMs), () => {
      if (isHealed) return;
      const index = count++;
      if (only?.has(index) ?? true) strike(index, kind, own.fork(`${nth}`));
      schedule(kind, everyMs, own, nth + 1);
    });
  }

  function strike(index: number, kind: FaultKind, own: Dice): void {
    const entry = { index, at: world.clock.monotonic(), kind, what: "" };
    happened.push(entry);
    world.trace.add(`STRIKE ${index} ${kind}`);
    const what = strikes[kind](contextOf(own));
    if (typeof what === "string") entry.what = what;
    else {
      void what.then(
        (text) => {
          entry.what = text;
        },
        (cause: unknown) => world.onBug(cause),
      );
    }
  }

  const contextOf = (own: Dice): StrikeContext => ({
    world,
    dice: own,
    cureAfter(ms, work) {
      const cure = () => {
        if (!cures.delete(cure)) return;
        work();
      };
      cures.set(cure, world.clock.monotonic() + ms);
      world.clock.timer(ms, cure);
    },
  });

  for (const kind of faultKinds) {
    const everyMs = plan.everyMs[kind];
    if (everyMs !== undefined) schedule(kind, everyMs, dice.fork(kind), 0);
  }
  return {
    strikes: happened,
    heal({ atOnce }) {
      isHealed = true;
      world.rates = calm;
      if (atOnce) {
        for (const cure of [...cures.keys()]) cure();
        for (const process of world.processes) process.thaw();
      }
      world.trace.add("HEAL");
      const thaws = world.processes.map(({ frozenUntil }) => frozenUntil);
      return Math.max(world.clock.monotonic(), ...cures.values(), ...thaws);
    },
  };
}
