// Which agent runs an attempt: the power of two choices over free slots, warm first. Two random candidates are nearly as
// good as looking at all, and schedulers that do not talk to each other do not all pick the same one.
import type { Random } from "@sluice/core";
import type { AgentLink } from "./link.ts";

/** What placing needs to know of an agent. */
export type Candidate = Pick<AgentLink, "free" | "warm" | "usedOfRevision">;

export interface Placing {
  readonly revision: number;
  /** Attempts of this revision that one agent runs at the same time: more would only wait there, in the way of others. */
  readonly perAgentMax: number;
}

/** Undefined: nobody has room. */
export function place<T extends Candidate>(candidates: readonly T[], placing: Placing, random: Random): T | undefined {
  const roomy = candidates.filter((candidate) => hasRoom(candidate, placing));
  if (roomy.length <= 1) return roomy[0];
  const first = Math.floor(random.next() * roomy.length);
  const second = (first + 1 + Math.floor(random.next() * (roomy.length - 1))) % roomy.length;
  return better(roomy[first] as T, roomy[second] as T, placing.revision);
}

export function hasRoom(candidate: Candidate, { revision, perAgentMax }: Placing): boolean {
  return candidate.free > 0 && (candidate.usedOfRevision.get(revision) ?? 0) < perAgentMax;
}

function better<T extends Candidate>(a: T, b: T, revision: number): T {
  const aIsWarm = a.warm.has(revision);
  if (aIsWarm !== b.warm.has(revision)) return aIsWarm ? a : b;
  return b.free > a.free ? b : a;
}
