import { AppError } from "@sluice/core";
import type { Lease } from "./index.ts";

/** Of a call whose outcome is not known. */
export function coordinatorUnavailable(message: string, options?: ErrorOptions): AppError {
  return new AppError("unavailable", "COORDINATOR_UNAVAILABLE", message, options);
}

/** Of a put under a lease that has expired or was revoked; nothing took effect. */
export function leaseGone(lease: Lease): AppError {
  return new AppError("precondition", "LEASE_GONE", `lease ${lease.id} is gone`);
}

export function isLeaseGone(error: unknown): boolean {
  return error instanceof AppError && error.reason === "LEASE_GONE";
}
