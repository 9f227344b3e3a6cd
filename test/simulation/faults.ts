// The swarm: from the seed it chooses which faults exist in this run, and how often. Few at a time find more than all at
// once: a run in which everything fails never gets far. A plan is data; what a fault does is said where it happens.
import type { Dice } from "./dice.ts";

/** Faults that happen to single messages, and the highest probability of each. */
const rateMax = {
  /** A message takes up to 1.5 s. */
  "message slow": 0.03,
  "call lost": 0.03,
  "call late": 0.03,
  "call repeated": 0.1,
  "answer lost": 0.05,
  /** A dispatch comes twice on one stream. Only in focus: TCP does not do it, and the agent must bear it all the same. */
  "frame repeated": 0.2,
  "hint lost": 0.8,
  /** An answer of the store takes up to three seconds, on the way there or back. */
  "store slow": 0.05,
  "store rejected": 0.05,
  "store ambiguous": 0.05,
  "store late": 0.06,
  "coordinator slow": 0.03,
  "coordinator rejected": 0.05,
  "coordinator ambiguous": 0.05,
  "coordinator late": 0.06,
  /** A lease that was not renewed lives on for up to its time to live and a second more: a new leader has restarted it. */
  "lease late": 0.5,
  "queue slow": 0.03,
  "queue rejected": 0.05,
  "queue ambiguous": 0.05,
  "queue late": 0.06,
  /** A block that was acknowledged to its publisher and is nowhere. */
  "block lost": 0.2,
  "block repeated": 0.2,
  "block late": 0.2,
  /** On the way to its consumer; it comes again after `ack_wait`. */
  "delivery lost": 0.1,
  "delivery repeated": 0.1,
  /** After those that follow it. */
  "delivery late": 0.1,
  "ack lost": 0.3,
  /** A process of an instance ends by itself, or is killed for its memory, sometimes with its agent. */
  "instance crash": 0.1,
  "instance oom": 0.1,
  /** Its handler never returns. */
  "instance hang": 0.1,
  /** It ignores SIGTERM. */
  "instance deaf": 0.5,
} as const;
export type RateName = keyof typeof rateMax;
export const rateNames = Object.keys(rateMax) as readonly RateName[];

/** Faults that happen at a moment, and the shortest mean time between two of a kind, in ms. */
const everyMsMin = {
  "scheduler crash": 4_000,
  "scheduler freeze": 3_000,
  "scheduler hand-off": 4_000,
  "agent crash": 4_000,
  "agent freeze": 4_000,
  "agent restart": 8_000,
  /** For up to a minute; it is back when everything heals. */
  "agent away": 10_000,
  "registration storm": 12_000,
  "api-server crash": 5_000,
  "api-server freeze": 5_000,
  "event loop blocked": 4_000,
  "clock step": 3_000,
  partition: 3_000,
  "one-way partition": 3_000,
  "cut from a system": 4_000,
  "system outage": 12_000,
  "stream break": 500,
  "queue restart": 8_000,
  "queue tail lost": 8_000,
  "stream deleted": 8_000,
  "consumer stall": 2_000,
  "lease lost": 1_500,
  "coordinator without quorum": 10_000,
  "coordinator wiped": 12_000,
  "watch silent": 2_000,
  "watch compacted": 4_000,
  "store restart": 10_000,
  "store connections cut": 1_500,
  "store slow for a while": 6_000,
  "cluster command": 1_000,
} as const;
export type FaultKind = keyof typeof everyMsMin;
export const faultKinds = Object.keys(everyMsMin) as readonly FaultKind[];

export type FaultName = RateName | FaultKind;
/** Probabilities, per message; what is not named never happens. */
export type Rates = Readonly<Partial<Record<RateName, number>>>;

export interface FaultPlan {
  readonly rates: Rates;
  /** The mean time between two of a kind, in ms; what is not named never happens. */
  readonly everyMs: Readonly<Partial<Record<FaultKind, number>>>;
}

export const calm: Rates = {};

/** They cannot happen outside; a control may want them. */
const onlyInFocus: ReadonlySet<FaultName> = new Set(["frame repeated"]);

/** Faults in `focus` are always on, at a high rate; the others then come half as often. */
export function planFaults(dice: Dice, focus: readonly FaultName[] = []): FaultPlan {
  const share = dice.pick([0.15, 0.35, 0.6]);
  const restShare = focus.length > 0 ? share / 2 : share;
  const rates: Partial<Record<RateName, number>> = {};
  const everyMs: Partial<Record<FaultKind, number>> = {};
  for (const name of rateNames) {
    const own = dice.fork(name);
    if (focus.includes(name)) rates[name] = (rateMax[name] * own.between(6, 10)) / 10;
    else if (own.chance(restShare) && !onlyInFocus.has(name)) rates[name] = (rateMax[name] * own.between(1, 10)) / 10;
  }
  for (const kind of faultKinds) {
    const own = dice.fork(kind);
    if (focus.includes(kind)) everyMs[kind] = everyMsMin[kind] * own.between(1, 2);
    else if (own.chance(restShare)) everyMs[kind] = everyMsMin[kind] * own.between(1, 4);
  }
  return { rates, everyMs };
}

/** The faults that exist in a plan. */
export function faultNamesOf({ rates, everyMs }: FaultPlan): readonly FaultName[] {
  return [...faultKinds.filter((kind) => kind in everyMs), ...rateNames.filter((name) => name in rates)];
}

/** The plan, in which the others strike when they did. */
export function withoutFaults({ rates, everyMs }: FaultPlan, names: ReadonlySet<FaultName>): FaultPlan {
  const kept = <T extends object>(faults: T) =>
    Object.fromEntries(Object.entries(faults).filter(([name]) => !names.has(name as FaultName))) as T;
  return { rates: kept(rates), everyMs: kept(everyMs) };
}

/** For a person who replays a seed. */
export function describePlan({ rates, everyMs }: FaultPlan): string {
  const events = Object.entries(everyMs).map(([kind, ms]) => `${kind} every ${ms} ms`);
  const rare = Object.entries(rates).map(([name, rate]) => `${name} ${rate.toFixed(3)}`);
  return [...events, ...rare].join(", ") || "no faults";
}
