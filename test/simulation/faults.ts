// The swarm: from the seed it chooses which faults exist in this run, and how often. Few at a time find more than all at
// once: a run in which everything fails never gets far.
import type { Dice } from "./dice.ts";
import type { PortRates } from "./ports/port.ts";
import type { QueueRates } from "./ports/queue.ts";

/** Probabilities, per message. */
export interface Rates {
  /** A message takes up to 1.5 s. */
  readonly slow: number;
  readonly callLost: number;
  readonly callLate: number;
  readonly callRepeated: number;
  readonly answerLost: number;
  /** A dispatch comes twice. */
  readonly frameRepeated: number;
  readonly store: PortRates;
  readonly coordinator: PortRates;
  readonly queuePort: PortRates;
  readonly queue: QueueRates;
  readonly hintLost: number;
}

/** Faults that happen at a moment; the mean time between two of a kind, in ms. */
export const faultKinds = [
  "scheduler crash",
  "scheduler freeze",
  "scheduler hand-off",
  "agent crash",
  "agent freeze",
  "agent restart",
  "api-server crash",
  "partition",
  "one-way partition",
  "cut from a system",
  "system outage",
  "stream break",
  "lease lost",
  "cluster command",
] as const;
export type FaultKind = (typeof faultKinds)[number];

export interface FaultPlan {
  readonly rates: Rates;
  readonly everyMs: Readonly<Partial<Record<FaultKind, number>>>;
}

const calmPort: PortRates = { rejected: 0, ambiguous: 0, late: 0 };
export const calm: Rates = {
  slow: 0,
  callLost: 0,
  callLate: 0,
  callRepeated: 0,
  answerLost: 0,
  frameRepeated: 0,
  store: calmPort,
  coordinator: calmPort,
  queuePort: calmPort,
  queue: { blockLost: 0, blockRepeated: 0, blockLate: 0, deliveryLost: 0, ackLost: 0 },
  hintLost: 0,
};

const everyMsMin: Readonly<Record<FaultKind, number>> = {
  "scheduler crash": 4_000,
  "scheduler freeze": 3_000,
  "scheduler hand-off": 4_000,
  "agent crash": 4_000,
  "agent freeze": 4_000,
  "agent restart": 8_000,
  "api-server crash": 5_000,
  partition: 3_000,
  "one-way partition": 3_000,
  "cut from a system": 4_000,
  "system outage": 12_000,
  "stream break": 500,
  "lease lost": 1_500,
  "cluster command": 1_000,
};

export function planFaults(dice: Dice): FaultPlan {
  const share = dice.pick([0.15, 0.35, 0.6]);
  const often = (max: number) => (dice.chance(share) ? (max * dice.between(1, 10)) / 10 : 0);
  const port = (): PortRates => ({ rejected: often(0.05), ambiguous: often(0.05), late: often(0.06) });
  const everyMs: Partial<Record<FaultKind, number>> = {};
  for (const kind of faultKinds) {
    if (dice.chance(share)) everyMs[kind] = everyMsMin[kind] * dice.between(1, 4);
  }
  return {
    rates: {
      slow: often(0.03),
      callLost: often(0.03),
      callLate: often(0.03),
      callRepeated: often(0.1),
      answerLost: often(0.05),
      frameRepeated: often(0.2),
      store: port(),
      coordinator: port(),
      queuePort: port(),
      queue: {
        blockLost: often(0.2),
        blockRepeated: often(0.2),
        blockLate: often(0.2),
        deliveryLost: often(0.1),
        ackLost: often(0.3),
      },
      hintLost: often(0.8),
    },
    everyMs,
  };
}

/** For a person who replays a seed. */
export function describePlan({ rates, everyMs }: FaultPlan): string {
  const flat = Object.entries(rates).flatMap(([name, value]) =>
    typeof value === "number"
      ? [[name, value] as const]
      : Object.entries(value as Record<string, number>).map(([inner, rate]) => [`${name}.${inner}`, rate] as const),
  );
  const rare = flat.filter(([, rate]) => rate > 0).map(([name, rate]) => `${name} ${rate.toFixed(3)}`);
  const events = Object.entries(everyMs).map(([kind, ms]) => `${kind} every ${ms} ms`);
  return [...events, ...rare].join(", ") || "no faults";
}
