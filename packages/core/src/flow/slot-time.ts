// What an attempt costs its flow in the fair order. A tenant feels how long the others keep the slots, not how often they take
// one: with one unit per attempt, an account whose tasks run a hundred times longer would get a hundred times the slots.

/** One unit for its way through the scheduler, and one more for every so many ms in a slot. */
export const slotUnitMs = 100;
/** What runs longer costs no more: a clock that is wrong must not shut a flow out. */
const costMax = 1 + 3_600_000 / slotUnitMs;

export function slotCost(ranMs: number): number {
  return Math.min(costMax, 1 + Math.max(0, ranMs) / slotUnitMs);
}

/** What the attempts of a flow are charged while they run. When one has ended, what it really cost is made good. */
export interface ExpectedCosts {
  /** 1 for a flow of which nothing has ended yet. */
  of(flowKey: string): number;
  ran(flowKey: string, cost: number): void;
}

/** The newest attempt counts so much. */
const newestShare = 0.1;
const flowsMax = 10_000;

export function createExpectedCosts(): ExpectedCosts {
  const means = new Map<string, number>();
  return {
    of: (flowKey) => means.get(flowKey) ?? 1,
    ran(flowKey, cost) {
      const mean = means.get(flowKey);
      if (mean === undefined && means.size >= flowsMax) means.delete(means.keys().next().value as string);
      means.set(flowKey, mean === undefined ? cost : mean + newestShare * (cost - mean));
    },
  };
}
