// The contract of coordination: a small linearizable key-value store with leases, as etcd has it. It says who may try;
// what keeps owners apart is the floor in the store and in the agents. `conformance.ts` is its meaning as tests.

/** A lease; keys put under it vanish when it is not renewed for its time to live, or revoked. May vanish early. */
export interface Lease {
  readonly id: string;
  /** As granted: may be longer than asked for. */
  readonly ttlMs: number;
}

export interface Entry {
  readonly key: string;
  readonly value: string;
  /** Revision of the cluster at which the key was created; grows for ever unless the cluster is wiped. */
  readonly createRevision: number;
  readonly modRevision: number;
  /** Undefined: under no lease. */
  readonly leaseId: string | undefined;
}

export type Condition =
  | { readonly key: string; readonly is: "absent" }
  | { readonly key: string; readonly is: "present" }
  | { readonly key: string; readonly createRevision: number }
  | { readonly key: string; readonly modRevision: number };

export type Operation =
  | { readonly op: "put"; readonly key: string; readonly value: string; readonly lease?: Lease }
  | { readonly op: "delete"; readonly key: string };

/** Every call rejects with `COORDINATOR_UNAVAILABLE` when its outcome is not known: it may have taken effect. */
export interface Coordinator extends AsyncDisposable {
  grant(ttlMs: number): Promise<Lease>;
  /** False: the lease is gone. */
  renew(lease: Lease): Promise<boolean>;
  revoke(lease: Lease): Promise<void>;
  get(key: string): Promise<Entry | undefined>;
  /** All keys that begin so, by key. */
  list(prefix: string): Promise<Entry[]>;
  /**
   * Runs the operations, of which no two name the same key, if every condition holds; at most 128 of each. `revision` is
   * that of the cluster afterwards: the `createRevision` of a key that this transaction created. Rejects with `LEASE_GONE`,
   * and changes nothing, if a put names a lease that is gone.
   */
  commit(
    conditions: readonly Condition[],
    operations: readonly Operation[],
  ): Promise<{ succeeded: boolean; revision: number }>;
  /** Hints that keys with this prefix may have changed. Hints may be lost: list again every few seconds. */
  watch(prefix: string, onHint: () => void): () => void;
}

export * from "./admission.ts";
export * from "./claims.ts";
export * from "./deadlines.ts";
export * from "./events.ts";
export * from "./follow-admission.ts";
export * from "./follow-routes.ts";
export * from "./keys.ts";
export * from "./loads.ts";
export * from "./members.ts";
export * from "./membership.ts";
export * from "./reshape.ts";
export * from "./route-limits.ts";
export * from "./routes.ts";
export * from "./slots.ts";
export * from "./wishes.ts";
