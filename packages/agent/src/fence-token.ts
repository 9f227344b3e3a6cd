import type { Epoch } from "@sluice/core";

/**
 * A text that grows with every attempt of a task, for handlers that write to systems which compare it. The attempt comes
 * first: it never goes down, while the epoch may, when a parked task moves to another lane.
 */
export function fenceToken(attempt: number, epoch: Epoch): string {
  return `${String(attempt).padStart(6, "0")}-${String(epoch).padStart(16, "0")}`;
}
