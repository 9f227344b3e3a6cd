// Loop: this process's place in the cluster.
//
//   outside ──granted──▶ member ──renewed, key written──▶ member
//      ▲                  │  │
//      └─ lease is gone ──┘  └──signal aborts──▶ left (lease revoked)
//
// A renewal that fails says nothing about the lease: it stays the lease, and is trusted for as long as the last good renewal
// allows. Trust counts from when a request was sent: a slow answer must not lengthen it. Only the loop writes the fields.
import { type Clock, createWake, isRetryable, type Wake } from "@sluice/core";
import { withDeadlines } from "./deadlines.ts";
import { isLeaseGone } from "./errors.ts";
import type { Condition, Coordinator, Lease } from "./index.ts";
import { memberKey } from "./keys.ts";

/** How often a lease is renewed, and for how long it is trusted. */
export interface LeaseProfile {
  readonly ttlMs: number;
  readonly renewEveryMs: number;
  readonly renewDeadlineMs: number;
  /** Taken off the trusted time, for the lag of the event loop. */
  readonly marginMs: number;
}
export const defaultLeaseProfile: LeaseProfile = {
  ttlMs: 6000,
  renewEveryMs: 2000,
  renewDeadlineMs: 1500,
  marginMs: 500,
};
export const fastLeaseProfile: LeaseProfile = { ttlMs: 2000, renewEveryMs: 600, renewDeadlineMs: 400, marginMs: 200 };

/** Clocks are believed to run within this of each other. */
const clockDriftMax = 0.02;

/** This process's place in the cluster: its member key and the lease on which its claims hang. */
export interface Membership {
  readonly id: string;
  /** Undefined while none is held. It stays the same until it is known to be gone, also when it is no longer trusted. */
  readonly lease: Lease | undefined;
  /**
   * Whether the lease may still be acted on: `now < send time of the last good renewal + TTL·(1−2 %) − margin`, on the
   * monotonic and on the wall clock. Only avoids useless work; the floors keep owners apart.
   */
  isTrusted(): boolean;
  /** Changes the value of the member key, as soon as the coordinator answers. */
  announce(info: string): void;
  /** Joins, renews, and joins again under a new lease when the old one is lost; leaves when the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

export interface MembershipOptions {
  readonly coordinator: Coordinator;
  readonly clock: Clock;
  readonly id: string;
  /** Value of the member key: a JSON text for the load-balancer. */
  readonly info: string;
  readonly profile: LeaseProfile;
}

export function createMembership(options: MembershipOptions): Membership {
  return new CoordinatedMembership(options);
}

class CoordinatedMembership implements Membership {
  readonly id: string;
  readonly #coordinator: Coordinator;
  readonly #clock: Clock;
  readonly #profile: LeaseProfile;
  readonly #wake: Wake;
  #info: string;
  #lease: Lease | undefined;
  #trustedUntil = { monotonic: 0, wall: 0 };

  constructor({ coordinator, clock, id, info, profile }: MembershipOptions) {
    this.id = id;
    this.#coordinator = withDeadlines(coordinator, { clock, deadlineMs: profile.renewDeadlineMs });
    this.#clock = clock;
    this.#profile = profile;
    this.#wake = createWake(clock);
    this.#info = info;
  }

  get lease(): Lease | undefined {
    return this.#lease;
  }

  isTrusted(): boolean {
    const { monotonic, wall } = this.#trustedUntil;
    return this.#lease !== undefined && this.#clock.monotonic() < monotonic && this.#clock.now() < wall;
  }

  announce(info: string): void {
    this.#info = info;
    this.#wake.notify();
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const sentAt = this.#clock.monotonic();
      const isGood = await this.#round();
      // After a failure sooner: at least two renewals must fit into the time for which the last one is trusted.
      const { renewEveryMs } = this.#profile;
      const waitMs = isGood ? sentAt + renewEveryMs - this.#clock.monotonic() : renewEveryMs / 4;
      await this.#wake.wait(signal, Math.max(1, waitMs));
    }
    await this.#leave();
  }

  /** Whether everything is as it should be: a lease that was just granted or renewed, and the member key under it. */
  async #round(): Promise<boolean> {
    try {
      if (this.#lease !== undefined && !(await this.#renew(this.#lease))) this.#lease = undefined;
      this.#lease ??= await this.#grant();
      return await this.#writeKey(this.#lease);
    } catch (error) {
      if (isLeaseGone(error)) this.#lease = undefined;
      else if (!isRetryable(error)) throw error;
      return false;
    }
  }

  async #grant(): Promise<Lease> {
    const askedAt = this.#times();
    const lease = await this.#coordinator.grant(this.#profile.ttlMs);
    this.#trust(lease, askedAt);
    return lease;
  }

  async #renew(lease: Lease): Promise<boolean> {
    const askedAt = this.#times();
    if (!(await this.#coordinator.renew(lease))) return false;
    this.#trust(lease, askedAt);
    return true;
  }

  /**
   * Makes the member key say what it should, under this lease. It reads first, and again in the next round: a write whose
   * answer was lost is found, and one that arrives late, perhaps under a lease that is gone, fails on its condition.
   */
  async #writeKey(lease: Lease): Promise<boolean> {
    const key = memberKey(this.id);
    const value = this.#info;
    const entry = await this.#coordinator.get(key);
    if (entry?.leaseId === lease.id && entry.value === value) return true;
    const unchanged: Condition = entry === undefined ? { key, is: "absent" } : { key, modRevision: entry.modRevision };
    return (await this.#coordinator.commit([unchanged], [{ op: "put", key, value, lease }])).succeeded;
  }

  async #leave(): Promise<void> {
    const lease = this.#lease;
    this.#lease = undefined;
    if (lease === undefined) return;
    try {
      await this.#coordinator.revoke(lease);
    } catch (error) {
      // It expires by itself.
      if (!isRetryable(error)) throw error;
    }
  }

  #times(): { readonly monotonic: number; readonly wall: number } {
    return { monotonic: this.#clock.monotonic(), wall: this.#clock.now() };
  }

  #trust({ ttlMs }: Lease, askedAt: { readonly monotonic: number; readonly wall: number }): void {
    const trustedMs = ttlMs * (1 - clockDriftMax) - this.#profile.marginMs;
    this.#trustedUntil = { monotonic: askedAt.monotonic + trustedMs, wall: askedAt.wall + trustedMs };
  }
}
