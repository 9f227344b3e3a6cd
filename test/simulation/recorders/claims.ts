// Who held which claim, and when: as the coordinator itself had it, whatever its clients were told.
import type { ClaimHeld } from "@sluice/checkers";
import { type Coordinator, claimsPrefix } from "@sluice/coordination";

/** Grows, and its claims end, while the world goes on. `now`: true time. */
export function recordClaims(coordinator: Coordinator, now: () => number): readonly ClaimHeld[] {
  const all: ClaimHeld[] = [];
  const standing = new Map<string, ClaimHeld>();
  coordinator.watch(claimsPrefix, () => void look());
  return all;

  /** A hint comes within the instant of the change, and so does the answer. */
  async function look(): Promise<void> {
    const at = now();
    const entries = await coordinator.list(claimsPrefix);
    const found = new Set(entries.map(({ key, createRevision }) => `${key} ${createRevision}`));
    for (const [name, claim] of standing) {
      if (found.has(name)) continue;
      claim.until = at;
      standing.delete(name);
    }
    for (const { key, value, createRevision } of entries) {
      const name = `${key} ${createRevision}`;
      if (standing.has(name)) continue;
      const [queue = "", prefix = ""] = key.slice(claimsPrefix.length).split("/");
      const claim: ClaimHeld = {
        queue,
        prefix: prefix === "-" ? "" : prefix,
        ownerId: lifeOf(value),
        revision: createRevision,
        from: at,
        until: undefined,
      };
      standing.set(name, claim);
      all.push(claim);
    }
  }
}

/** The name of the life of a process by which the rest of the history calls this scheduler: `s1.2` for `s1-2`. */
export function lifeOf(schedulerId: string): string {
  return schedulerId.replace("-", ".");
}
