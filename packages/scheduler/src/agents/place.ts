// Which agent runs an attempt: one with a warm instance that waits, if there is any; else, and between several, the power of
// two choices over free slots. Two random candidates are nearly as good as looking at all, and schedulers that do not talk
// to each other do not all pick the same one.
import type { Random } from "@sluice/core";
import type { AgentLink } from "./link.ts";

/** What placing needs to know of an agent. */
export type Candidate = Pick<
  AgentLink,
  "free" | "warm" | "usedWhenWarm" | "usedOfRevision" | "instancesMax" | "memoryMaxMb"
>;

export interface Placing {
  readonly revision: number;
  /** Attempts that one instance runs at the same time. */
  readonly instanceConcurrency: number;
  /** Instances of the function on one agent. */
  readonly instancesMax: number;
  /** MiB of one instance. */
  readonly memoryMb: number;
  /** So many times what it can run: the next attempt is there when one ends, without a round trip. See `pace.ts`. */
  readonly aheadFactor: number;
}

/** Attempts of the function that the agent may be given now. */
export function roomFor(candidate: Candidate, placing: Placing): number {
  const { free } = candidate;
  if (free <= 0) return 0;
  const { revision, instanceConcurrency, aheadFactor } = placing;
  const capacity = instancesOn(candidate, placing) * instanceConcurrency;
  const used = candidate.usedOfRevision.get(revision) ?? 0;
  return Math.max(0, Math.min(free, Math.floor(capacity * aheadFactor) - used));
}

/** Instances of the function that the agent can run. One that is larger than its memory runs there alone. */
function instancesOn(candidate: Candidate, { instancesMax, memoryMb }: Placing): number {
  const inMemory = Math.max(1, Math.floor(candidate.memoryMaxMb / Math.max(1, memoryMb)));
  return Math.min(instancesMax, candidate.instancesMax, inMemory);
}

/** A slot of a running instance waits, as far as is known: what was sent since the agent said so may have taken it. */
function isWarm(candidate: Candidate, { revision, instanceConcurrency }: Placing): boolean {
  if (!candidate.warm.has(revision)) return false;
  const usedThen = candidate.usedWhenWarm.get(revision) ?? 0;
  return (candidate.usedOfRevision.get(revision) ?? 0) < usedThen + instanceConcurrency;
}

/** Of more candidates than this, so many are drawn at random first. The shard of a flow rarely has more. */
const drawnMax = 20;

/** Undefined: nobody has room. */
export function place<T extends Candidate>(candidates: readonly T[], placing: Placing, random: Random): T | undefined {
  if (candidates.length > drawnMax) {
    const drawn = Array.from(
      { length: drawnMax },
      () => candidates[Math.floor(random.next() * candidates.length)] as T,
    );
    const chosen = choose(drawn, placing, random);
    if (chosen) return chosen;
  }
  return choose(candidates, placing, random);
}

function choose<T extends Candidate>(candidates: readonly T[], placing: Placing, random: Random): T | undefined {
  const roomy = candidates.filter((candidate) => roomFor(candidate, placing) > 0);
  if (roomy.length <= 1) return roomy[0];
  const warm = roomy.filter((candidate) => isWarm(candidate, placing));
  return warm.length > 0 ? roomierOfTwo(warm, random) : roomierOfTwo(roomy, random);
}

/** The power of two choices; of not more than one, that one. */
function roomierOfTwo<T extends Candidate>(candidates: readonly T[], random: Random): T | undefined {
  if (candidates.length <= 1) return candidates[0];
  const first = Math.floor(random.next() * candidates.length);
  const second = (first + 1 + Math.floor(random.next() * (candidates.length - 1))) % candidates.length;
  const [a, b] = [candidates[first] as T, candidates[second] as T];
  return b.free > a.free ? b : a;
}
