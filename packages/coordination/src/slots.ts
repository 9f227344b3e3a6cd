// How many slots of agents are needed, as each scheduler says of its own partitions: the sum is what the cluster needs.
import type { Coordinator, Entry, Lease } from "./index.ts";
import { slotsKey, slotsPrefix } from "./keys.ts";

export interface SlotsReport {
  readonly memberId: string;
  /** Attempts that it could have running if there were agents enough, those that run included; smoothed. */
  readonly wanted: number;
  /** Attempts that agents have of it. */
  readonly running: number;
}

/** Those that can be read; members without one need nothing, or have not said anything yet. */
export async function readSlots(coordinator: Coordinator): Promise<SlotsReport[]> {
  return (await coordinator.list(slotsPrefix)).flatMap((entry) => {
    const report = parseSlots(entry);
    return report === undefined ? [] : [report];
  });
}

/** Replaces what the member has said before. Rejects with `LEASE_GONE`. */
export async function writeSlots(
  coordinator: Coordinator,
  { memberId, wanted, running }: SlotsReport,
  lease: Lease,
): Promise<void> {
  const value = JSON.stringify({ wanted, running });
  await coordinator.commit([], [{ op: "put", key: slotsKey(memberId), value, lease }]);
}

function parseSlots({ key, value }: Entry): SlotsReport | undefined {
  try {
    const { wanted, running }: { readonly wanted?: unknown; readonly running?: unknown } = JSON.parse(value);
    if (!isCount(wanted) || !isCount(running)) return undefined;
    return { memberId: key.slice(slotsPrefix.length), wanted, running };
  } catch {
    return undefined;
  }
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
