// Whose the keys of etcd are, for whoever judges what is left.
import { agentsPrefix, claimsPrefix, leaderKey, loadsPrefix, membersPrefix, slotsPrefix } from "../keys.ts";

/** A key under a lease. */
export interface Held {
  readonly kind: "claim" | "member" | "load" | "leader" | "agent";
  readonly what: string;
  /** A scheduler's id, or an agent and its incarnation: `agent-0/3`. */
  readonly holder: string;
}

/** The keys that go with the life of somebody; what the cluster keeps is none of them. */
export function heldKeys(entries: readonly { readonly key: string; readonly value: string }[]): Held[] {
  return entries.flatMap(({ key: what, value }): Held[] => {
    const after = (prefix: string) => what.slice(prefix.length);
    if (what.startsWith(claimsPrefix)) return [{ kind: "claim", what, holder: value }];
    if (what.startsWith(membersPrefix)) return [{ kind: "member", what, holder: after(membersPrefix) }];
    if (what.startsWith(loadsPrefix)) return [{ kind: "load", what, holder: after(loadsPrefix) }];
    if (what.startsWith(slotsPrefix)) return [{ kind: "load", what, holder: after(slotsPrefix) }];
    if (what === leaderKey) return [{ kind: "leader", what, holder: value }];
    if (!what.startsWith(agentsPrefix)) return [];
    return [{ kind: "agent", what, holder: `${after(agentsPrefix)}/${value}` }];
  });
}
