// How busy each owner is, and for how long, from what it reports of its thread. Pure: the tracker in, a new one out.
//
//   low ──▶ middle ──▶ high      high: over the threshold; low: below it by the dead band. A member that owns other partitions
//     ◀────── ◀──────            than a moment ago begins anew: what it reports is still of those that it had.
import type { LoadReport, Wish } from "@sluice/coordination";
import { partitionKey } from "@sluice/core";

export interface OwnerLoadConfig {
  /** High: its thread is at work for more than this share of the time. Default 0.8. */
  readonly ownerLoadMax: number;
  /** Low: for less than the threshold by this. Only such a member is given something. Default 0.2. */
  readonly ownerLoadDeadBand: number;
  /** It is relieved, or given something, when it was so for so long, in ms. Default 20 s: ten reports. */
  readonly ownerLoadForMs: number;
}
export const defaultOwnerLoadConfig: OwnerLoadConfig = {
  ownerLoadMax: 0.8,
  ownerLoadDeadBand: 0.2,
  ownerLoadForMs: 20_000,
};

export interface OwnerLoad {
  /** Share of the time, 0 to 1. */
  readonly busy: number;
  readonly level: "low" | "middle" | "high";
  /** When it became so, monotonic. */
  readonly since: number;
  /** Keys of its partitions, as they are wished. */
  readonly owns: string;
}

/** By the id of the member; one that does not say how busy it is is left out. */
export type OwnerLoads = ReadonlyMap<string, OwnerLoad>;

export interface OwnerLoadInput {
  readonly wishes: readonly Wish[];
  readonly reports: readonly LoadReport[];
  /** Monotonic. */
  readonly now: number;
}

export function followOwnerLoads(
  before: OwnerLoads,
  { wishes, reports, now }: OwnerLoadInput,
  config: OwnerLoadConfig = defaultOwnerLoadConfig,
): OwnerLoads {
  const owned = new Map<string, string[]>();
  for (const { queue, partitions } of wishes) {
    for (const { prefix, ownerId } of partitions) {
      const keys = owned.get(ownerId);
      if (keys === undefined) owned.set(ownerId, [partitionKey({ queue, prefix })]);
      else keys.push(partitionKey({ queue, prefix }));
    }
  }
  const loads = new Map<string, OwnerLoad>();
  for (const { memberId, busy } of reports) {
    if (busy === undefined) continue;
    const owns = (owned.get(memberId) ?? []).join(" ");
    const level = levelOf(busy, config);
    const known = before.get(memberId);
    const isSame = known?.level === level && known.owns === owns;
    loads.set(memberId, { busy, level, since: isSame ? known.since : now, owns });
  }
  return loads;
}

function levelOf(busy: number, { ownerLoadMax, ownerLoadDeadBand }: OwnerLoadConfig): OwnerLoad["level"] {
  if (busy > ownerLoadMax) return "high";
  return busy < ownerLoadMax - ownerLoadDeadBand ? "low" : "middle";
}
