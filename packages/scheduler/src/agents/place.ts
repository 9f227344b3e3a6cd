// Which agent runs an attempt: the power of two choices over free slots, warm first. Two random candidates are nearly as
// good as looking at all, and schedulers that do not talk to each other do not all pick the same one.
import type { Random } from "@sluice/core";
import type { AgentLink } from "./link.ts";

/** What placing needs to know of an agent. */
export type Candidate = Pick<AgentLink, "free" | "warm" | "usedOfRevision" | "instancesMax">;

export interface Placing {
  readonly revision: number;
  /** Attempts that one instance runs at the same time. */
  readonly instanceConcurrency: number;
  /** Instances of the function on one agent. */
  readonly instancesMax: number;
  /** So many times what it can run: the next attempt is there when one ends, without a round trip. See `pace.ts`. */
  readonly aheadFactor: number;
}

/** Attempts of the function that the agent may be given now. */
export function roomFor(candidate: Candidate, placing: Placing): number {
  const { revision, instanceConcurrency, instancesMax, aheadFactor } = placing;
  const capacity = Math.min(instancesMax, candidate.instancesMax) * instanceConcurrency;
  const used = candidate.usedOfRevision.get(revision) ?? 0;
  return Math.max(0, Math.min(candidate.free, Math.floor(capacity * aheadFactor) - used));
}

/** Among more candidates than this, some are tried at random before all are looked at. */
const fewCandidates = 8;

/** Undefined: nobody has room. */
export function place<T extends Candidate>(candidates: readonly T[], placing: Placing, random: Random): T | undefined {
  if (candidates.length > fewCandidates) {
    const [first, second] = sample(candidates, placing, random);
    if (first && second) return better(first, second, placing.revision);
  }
  const roomy = candidates.filter((candidate) => roomFor(candidate, placing) > 0);
  if (roomy.length <= 1) return roomy[0];
  const first = Math.floor(random.next() * roomy.length);
  const second = (first + 1 + Math.floor(random.next() * (roomy.length - 1))) % roomy.length;
  return better(roomy[first] as T, roomy[second] as T, placing.revision);
}

/** Up to two with room, of a few at random. */
function sample<T extends Candidate>(candidates: readonly T[], placing: Placing, random: Random): readonly T[] {
  const found: T[] = [];
  for (let tries = 0; tries < fewCandidates && found.length < 2; tries++) {
    const candidate = candidates[Math.floor(random.next() * candidates.length)] as T;
    if (candidate !== found[0] && roomFor(candidate, placing) > 0) found.push(candidate);
  }
  return found;
}

function better<T extends Candidate>(a: T, b: T, revision: number): T {
  const aIsWarm = a.warm.has(revision);
  if (aIsWarm !== b.warm.has(revision)) return aIsWarm ? a : b;
  return b.free > a.free ? b : a;
}
