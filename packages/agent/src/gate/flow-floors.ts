// By which limits attempts of a flow may still have been dispatched.
//
// A limited flow has one lane, and the owner of that lane enforces its limits alone; it asks every agent what else runs of the
// flow. An attempt of another lane that was sent before the limits were set, and arrives after this agent has answered, would
// run beside those that the owner starts: it is refused here. So is one whose owner had not heard yet that the flow was given a
// queue of its own, or lost it: that lane was its home before.
import type { DispatchAttempt, FlowQuestion } from "@sluice/protocol";

export interface FlowName {
  readonly accountId: string;
  readonly functionName: string;
}

type Dispatched = Pick<DispatchAttempt, "limitsVersion" | "routesKnownAtMs">;

interface Floor {
  readonly limits: readonly number[];
  readonly routesKnownAtMs: number;
  /** Monotonic. */
  readonly raisedAt: number;
}

/** Flows that are remembered; beyond it the one that was asked about longest ago is forgotten. */
const flowsMax = 100_000;

/**
 * Nothing arrives so late: a stream breaks after seconds, and owners go by nothing older than that. A floor that stayed would refuse a
 * function that was deleted and made anew, whose limits have no version yet, and everything once the store's clock was set back.
 */
export const floorLastsMs = 10 * 60_000;

export class FlowFloors {
  readonly #now: () => number;
  /** By account and function, or by account alone. */
  readonly #floors = new Map<string, Floor>();

  /** `now`: monotonic. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** From now on older limits, and what knows of older routes, are refused. */
  raise({ accountId, functionName, limitsVersion, routesKnownAtMs = 0 }: FlowQuestion): void {
    const key = keyOf(accountId, functionName);
    const before = this.#floorOf(key);
    this.#floors.delete(key);
    this.#floors.set(key, {
      raisedAt: this.#now(),
      limits: highest(before?.limits ?? [], limitsVersion),
      routesKnownAtMs: Math.max(before?.routesKnownAtMs ?? 0, routesKnownAtMs),
    });
    if (this.#floors.size <= flowsMax) return;
    for (const oldest of this.#floors.keys()) {
      this.#floors.delete(oldest);
      return;
    }
  }

  /** Whether an attempt was dispatched by limits, or by a route, that do not count any more. */
  refuses({ accountId, functionName }: FlowName, { limitsVersion, routesKnownAtMs }: Dispatched): boolean {
    if (this.#floors.size === 0) return false;
    return [keyOf(accountId, functionName), keyOf(accountId, "")].some((key) => {
      const floor = this.#floorOf(key);
      if (floor === undefined) return false;
      if (floor.limits.some((least, index) => (limitsVersion[index] ?? 0) < least)) return true;
      return routesKnownAtMs !== undefined && routesKnownAtMs < floor.routesKnownAtMs;
    });
  }

  #floorOf(key: string): Floor | undefined {
    const floor = this.#floors.get(key);
    if (floor === undefined || this.#now() - floor.raisedAt <= floorLastsMs) return floor;
    this.#floors.delete(key);
    return undefined;
  }
}

function highest(a: readonly number[], b: readonly number[]): number[] {
  return Array.from({ length: Math.max(a.length, b.length) }, (_, index) => Math.max(a[index] ?? 0, b[index] ?? 0));
}

function keyOf(accountId: string, functionName: string): string {
  return `${accountId}/${functionName}`;
}
