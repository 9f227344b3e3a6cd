import { fieldsOf } from "./fields.ts";
import type { Coordinator, Entry } from "./index.ts";
import { membersPrefix } from "./keys.ts";

/** What a scheduler says of itself in its member key, as a JSON text. Everything may be left out. */
export interface MemberInfo {
  /** How much it can take, relative to the others; positive, default 1. */
  readonly capacity?: number;
  /** It is about to leave, and wants to be relieved of its partitions. */
  readonly draining?: boolean;
}

/** A scheduler that is alive, as far as the coordinator knows. */
export interface Member {
  readonly id: string;
  readonly capacity: number;
  readonly isDraining: boolean;
}

export async function readMembers(coordinator: Coordinator): Promise<Member[]> {
  return (await coordinator.list(membersPrefix)).map(parseMember);
}

/** Whatever a newer or broken member writes: what cannot be read is as if it were left out. */
export function parseMember({ key, value }: Entry): Member {
  const { capacity, draining } = fieldsOf(value);
  const isCapacity = typeof capacity === "number" && Number.isFinite(capacity) && capacity > 0;
  return { id: key.slice(membersPrefix.length), capacity: isCapacity ? capacity : 1, isDraining: draining === true };
}
