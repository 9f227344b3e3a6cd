// etcd as its clients can see it, with what it may do to them: leases that end early or late, no quorum, everything gone.
//
//   quorum ──lost──▶ none: nothing is read, written or renewed, and no lease ends
//      ▲                │
//      └────back────────┘ a new leader gives every lease its whole time again
import type { Condition, Coordinator, Entry, Lease, Operation } from "@sluice/coordination";
import { AppError, type Clock } from "@sluice/core";
import { SystemState } from "./system.ts";

export interface EtcdOptions {
  readonly clock: Clock;
  /** How much later than it should a lease that was not renewed ends, in ms; asked once per lease that is due. */
  readonly lateMs: (ttlMs: number) => number;
}

interface LeaseState {
  readonly ttlMs: number;
  /** Monotonic. */
  expiresAt: number;
  /** A leader that was elected meanwhile did not know how long it had: the lease goes on, once. */
  wasLate: boolean;
  cancelTimer: () => void;
}

interface Watcher {
  readonly prefix: string;
  readonly onHint: () => void;
  isHinted: boolean;
}

export class EtcdModel implements Coordinator {
  readonly system = new SystemState();
  readonly #clock: Clock;
  readonly #lateMs: EtcdOptions["lateMs"];
  readonly #entries = new Map<string, Entry>();
  readonly #leases = new Map<string, LeaseState>();
  readonly #watchers = new Set<Watcher>();
  /** Of hosts whose watches are silent. */
  readonly #silent = new Map<string, number>();
  readonly #resumed = new Set<(host: string) => void>();
  /** Of a cluster that has served for long: once it was wiped, its numbers are far below the floors. */
  #revision = 1_000_000;
  #leasesGranted = 0;

  constructor({ clock, lateMs }: EtcdOptions) {
    this.#clock = clock;
    this.#lateMs = lateMs;
  }

  async grant(ttlMs: number): Promise<Lease> {
    const id = `lease-${++this.#leasesGranted}`;
    const lease = { ttlMs, expiresAt: this.#clock.monotonic() + ttlMs, wasLate: false, cancelTimer: () => undefined };
    this.#leases.set(id, lease);
    this.#setTimer(id, lease);
    return { id, ttlMs };
  }

  async renew({ id }: Lease): Promise<boolean> {
    const lease = this.#leases.get(id);
    if (lease === undefined) return false;
    lease.expiresAt = this.#clock.monotonic() + lease.ttlMs;
    lease.wasLate = false;
    return true;
  }

  async revoke({ id }: Lease): Promise<void> {
    this.#end(id);
  }

  async get(key: string): Promise<Entry | undefined> {
    return this.#entries.get(key);
  }

  async list(prefix: string): Promise<Entry[]> {
    const found = [...this.#entries.values()].filter(({ key }) => key.startsWith(prefix));
    return found.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  async commit(
    conditions: readonly Condition[],
    operations: readonly Operation[],
  ): Promise<{ succeeded: boolean; revision: number }> {
    if (!conditions.every((condition) => this.#holds(condition))) return { succeeded: false, revision: this.#revision };
    for (const operation of operations) {
      if (operation.op === "put" && operation.lease !== undefined && !this.#leases.has(operation.lease.id)) {
        throw new AppError("precondition", "LEASE_GONE", `lease ${operation.lease.id} is gone`);
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
    this.#watchers.clear();
    for (const lease of this.#leases.values()) lease.cancelTimer();
    this.#leases.clear();
  }

  /** Those under which a key lives, with the first of their keys. */
  get leasesInUse(): readonly { readonly id: string; readonly key: string }[] {
    const keys = new Map<string, string>();
    for (const { key, leaseId } of this.#entries.values()) {
      if (leaseId !== undefined && !keys.has(leaseId)) keys.set(leaseId, key);
    }
    return [...keys].map(([id, key]) => ({ id, key }));
  }

  /** As an old leader does it that does not know yet that it is none: before its time, renewed or not. */
  endLeaseEarly(id: string): void {
    this.#end(id);
  }

  /** Returns how to give it back. */
  loseQuorum(): () => void {
    const recover = this.system.fail("stuck");
    for (const lease of this.#leases.values()) lease.cancelTimer();
    return () => {
      recover();
      if (!this.system.isUp) return;
      for (const [id, lease] of this.#leases) {
        lease.cancelTimer();
        lease.expiresAt = this.#clock.monotonic() + lease.ttlMs;
        this.#setTimer(id, lease);
      }
    };
  }

  /** As after a restart with an empty disk; watches are opened anew and hint. */
  wipe(): void {
    for (const lease of this.#leases.values()) lease.cancelTimer();
    this.#leases.clear();
    this.#entries.clear();
    this.#revision = 1;
    this.system.cutConnections();
    for (const watcher of this.#watchers) this.#hintOne(watcher);
  }

  isSilent(host: string): boolean {
    return this.#silent.has(host);
  }

  /** The watches of a host hear nothing from now on. Returns how to end it: `hint` if they were opened anew. */
  silence(host: string): (options: { readonly hint: boolean }) => void {
    this.#silent.set(host, (this.#silent.get(host) ?? 0) + 1);
    return ({ hint }) => {
      const left = (this.#silent.get(host) ?? 1) - 1;
      if (left > 0) this.#silent.set(host, left);
      else this.#silent.delete(host);
      if (hint && left === 0) for (const listener of [...this.#resumed]) listener(host);
    };
  }

  /** Calls `listener` with hosts whose watches were opened anew; returns how to stop. */
  onResume(listener: (host: string) => void): () => void {
    this.#resumed.add(listener);
    return () => this.#resumed.delete(listener);
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
      if (operation.op === "delete") this.#entries.delete(key);
      else {
        const createRevision = this.#entries.get(key)?.createRevision ?? modRevision;
        const { value, lease } = operation;
        this.#entries.set(key, { key, value, createRevision, modRevision, leaseId: lease?.id });
      }
      for (const watcher of this.#watchers) if (key.startsWith(watcher.prefix)) this.#hintOne(watcher);
    }
  }

  #setTimer(id: string, lease: LeaseState): void {
    const leftMs = Math.max(1, lease.expiresAt - this.#clock.monotonic());
    lease.cancelTimer = this.#clock.timer(leftMs, () => this.#onTimer(id, lease));
  }

  #onTimer(id: string, lease: LeaseState): void {
    // Without a quorum nothing ends.
    if (!this.system.isUp) return;
    if (lease.expiresAt > this.#clock.monotonic()) this.#setTimer(id, lease);
    else if (lease.wasLate) this.#end(id);
    else {
      lease.wasLate = true;
      const lateMs = this.#lateMs(lease.ttlMs);
      if (lateMs === 0) this.#end(id);
      else {
        lease.expiresAt += lateMs;
        this.#setTimer(id, lease);
      }
    }
  }

  #end(leaseId: string): void {
    const lease = this.#leases.get(leaseId);
    if (lease === undefined) return;
    lease.cancelTimer();
    this.#leases.delete(leaseId);
    const keys = [...this.#entries.values()].filter((entry) => entry.leaseId === leaseId).map(({ key }) => key);
    this.#apply(keys.map((key) => ({ op: "delete", key })));
  }

  #hintOne(watcher: Watcher): void {
    if (watcher.isHinted) return;
    watcher.isHinted = true;
    queueMicrotask(() => {
      watcher.isHinted = false;
      if (this.#watchers.has(watcher)) watcher.onHint();
    });
  }
}
