import type { Clock } from "@sluice/core";
import type { Coordinator, Lease } from "./index.ts";

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

/** This process's place in the cluster: its member key and the lease on which its claims hang. */
export interface Membership {
  readonly id: string;
  /** Undefined while there is no lease that is believed to stand. */
  readonly lease: Lease | undefined;
  /**
   * Whether the lease may still be acted on: `now < send time of the last good renewal + TTL·(1−2 %) − margin`, on the
   * monotonic and on the wall clock. Only avoids useless work; the floors keep owners apart.
   */
  isTrusted(): boolean;
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

export function createMembership(_options: MembershipOptions): Membership {
  throw new Error("to be written");
}
