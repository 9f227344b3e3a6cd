// What failover should reach on a machine that has nothing else to do.
import type { Aim } from "../contract.ts";

/** The time to live of a lease, and what finding its end, claiming and hearing the agents take. */
export const failover: Aim = { figure: "failover", fault: "crash", p99Ms: { default: 9_000, fast: 4_000 } };

/** Of an owner that hands over in order, whatever its lease. */
export function handOff(fault: "stop" | "upgrade" | "move"): Aim {
  return { figure: "failover", fault, p99Ms: { default: 1_000, fast: 1_000 } };
}

export const adoption: Aim = { figure: "adopted", share: 0.99 };
