// By which limits attempts of a flow may still have been dispatched.
//
// A limited flow has one lane, and the owner of that lane enforces its limits alone; it asks every agent what else runs of the
// flow. An attempt of another lane that was sent before the limits were set, and arrives after this agent has answered, would
// run beside those that the owner starts: it is refused here.
import type { FlowQuestion } from "@sluice/protocol";

export interface FlowName {
  readonly accountId: string;
  readonly functionName: string;
}

/** Flows that are remembered; beyond it the one that was asked about longest ago is forgotten. */
const flowsMax = 100_000;

export class FlowFloors {
  /** By account and function, or by account alone. */
  readonly #floors = new Map<string, readonly number[]>();

  /** From now on older limits are refused. */
  raise({ accountId, functionName, limitsVersion }: FlowQuestion): void {
    const key = keyOf(accountId, functionName);
    const before = this.#floors.get(key) ?? [];
    this.#floors.delete(key);
    this.#floors.set(key, highest(before, limitsVersion));
    if (this.#floors.size <= flowsMax) return;
    for (const oldest of this.#floors.keys()) {
      this.#floors.delete(oldest);
      return;
    }
  }

  /** Whether an attempt was dispatched by limits that do not count any more. */
  refuses({ accountId, functionName }: FlowName, limitsVersion: readonly number[]): boolean {
    if (this.#floors.size === 0) return false;
    return [keyOf(accountId, functionName), keyOf(accountId, "")].some((key) =>
      this.#floors.get(key)?.some((floor, index) => (limitsVersion[index] ?? 0) < floor),
    );
  }
}

function highest(a: readonly number[], b: readonly number[]): number[] {
  return Array.from({ length: Math.max(a.length, b.length) }, (_, index) => Math.max(a[index] ?? 0, b[index] ?? 0));
}

function keyOf(accountId: string, functionName: string): string {
  return `${accountId}/${functionName}`;
}
