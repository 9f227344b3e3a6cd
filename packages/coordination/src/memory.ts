// The coordinator of a single process: for standalone, the simulation and tests. A new one starts at revision 0, as etcd
// does when it was wiped; `epochOf` copes.
import { assert, type Clock } from "@sluice/core";
import { coordinatorUnavailable, leaseGone } from "./errors.ts";
import type { Condition, Coordinator, Entry, Lease, Operation } from "./index.ts";

/** Conditions, and operations, of one transaction; etcd's default. */
const transactionSizeMax = 128;

/** A linearizable key-value store in memory: every call takes effect, whole, at the moment when it is made. */
export function createMemoryCoordinator({ clock }: { readonly clock: Clock }): Coordinator {
  return new MemoryCoordinator(clock);
}

interface LeaseState {
  readonly ttlMs: number;
  /** Monotonic. */
  expiresAt: number;
  cancelTimer: () => void;
}

interface Watcher {
  readonly prefix: string;
  readonly onHint: () => void;
  /** A hint is on its way; more say nothing new. */
  isHinted: boolean;
}

class MemoryCoordinator implements Coordinator {
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  readonly #leases = new Map<string, LeaseState>();
  readonly #watchers = new Set<Watcher>();
  #revision = 0;
  #leasesGranted = 0;
  #isClosed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async grant(ttlMs: number): Promise<Lease> {
    this.#refuseIfClosed();
    assert(ttlMs > 0, "a lease needs time to live");
    const id = `lease-${++this.#leasesGranted}`;
    const expiresAt = this.#clock.monotonic() + ttlMs;
    this.#leases.set(id, { ttlMs, expiresAt, cancelTimer: this.#clock.timer(ttlMs, () => this.#onTimer(id)) });
    return { id, ttlMs };
  }

  async renew({ id }: Lease): Promise<boolean> {
    this.#refuseIfClosed();
    const lease = this.#leases.get(id);
    if (lease === undefined) return false;
    lease.expiresAt = this.#clock.monotonic() + lease.ttlMs;
    return true;
  }

  async revoke({ id }: Lease): Promise<void> {
    this.#refuseIfClosed();
    this.#end(id);
  }

  async get(key: string): Promise<Entry | undefined> {
    this.#refuseIfClosed();
    return this.#entries.get(key);
  }

  async list(prefix: string): Promise<Entry[]> {
    this.#refuseIfClosed();
    const found = [...this.#entries.values()].filter(({ key }) => key.startsWith(prefix));
    return found.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  async commit(
    conditions: readonly Condition[],
    operations: readonly Operation[],
  ): Promise<{ succeeded: boolean; revision: number }> {
    this.#refuseIfClosed();
    assert(conditions.length <= transactionSizeMax, `a transaction has at most ${transactionSizeMax} conditions`);
    assert(operations.length <= transactionSizeMax, `a transaction has at most ${transactionSizeMax} operations`);
    assert(new Set(operations.map(({ key }) => key)).size === operations.length, "a transaction changes a key once");
    if (!conditions.every((condition) => this.#holds(condition))) return { succeeded: false, revision: this.#revision };
    for (const operation of operations) {
      if (operation.op === "put" && operation.lease !== undefined && !this.#leases.has(operation.lease.id)) {
        throw leaseGone(operation.lease);
      }
    }
    this.#apply(operations);
    return { succeeded: true, revision: this.#revision };
  }

  watch(prefix: string, onHint: () => void): () => void {
    const watcher: Watcher = { prefix, onHint, isHinted: false };
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#watchers.clear();
    for (const lease of this.#leases.values()) lease.cancelTimer();
    this.#leases.clear();
  }

  #refuseIfClosed(): void {
    if (this.#isClosed) throw coordinatorUnavailable("the coordinator is closed");
  }

  #holds(condition: Condition): boolean {
    const entry = this.#entries.get(condition.key);
    if ("createRevision" in condition) return entry?.createRevision === condition.createRevision;
    if ("modRevision" in condition) return entry?.modRevision === condition.modRevision;
    return (entry === undefined) === (condition.is === "absent");
  }

  /** One transaction is one revision; one that changes nothing is none. */
  #apply(operations: readonly Operation[]): void {
    const changing = operations.filter(({ op, key }) => op === "put" || this.#entries.has(key));
    if (changing.length === 0) return;
    const modRevision = ++this.#revision;
    for (const operation of changing) {
      const { key } = operation;
      if (operation.op === "delete") {
        this.#entries.delete(key);
      } else {
        const createRevision = this.#entries.get(key)?.createRevision ?? modRevision;
        const { value, lease } = operation;
        this.#entries.set(key, { key, value, createRevision, modRevision, leaseId: lease?.id });
      }
      this.#hint(key);
    }
  }

  #onTimer(id: string): void {
    const lease = this.#leases.get(id);
    if (lease === undefined) return;
    const leftMs = lease.expiresAt - this.#clock.monotonic();
    // Renewals only move the end; the timer, which is set once per TTL, finds out.
    if (leftMs > 0) lease.cancelTimer = this.#clock.timer(leftMs, () => this.#onTimer(id));
    else this.#end(id);
  }

  #end(leaseId: string): void {
    const lease = this.#leases.get(leaseId);
    if (lease === undefined) return;
    lease.cancelTimer();
    this.#leases.delete(leaseId);
    const keys = [...this.#entries.values()].filter((entry) => entry.leaseId === leaseId).map(({ key }) => key);
    this.#apply(keys.map((key) => ({ op: "delete", key })));
  }

  #hint(key: string): void {
    for (const watcher of this.#watchers) {
      if (watcher.isHinted || !key.startsWith(watcher.prefix)) continue;
      watcher.isHinted = true;
      queueMicrotask(() => {
        watcher.isHinted = false;
        if (this.#watchers.has(watcher)) watcher.onHint();
      });
    }
  }
}
