import { type FaultName, faultKinds, rateNames } from "../simulation/faults.ts";
import type { SimulateOptions } from "../simulation/simulate.ts";
import type { WorldSize } from "../simulation/world.ts";

/** One change of a source file. */
export interface Edit {
  /** From the root of the repository. */
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly find: string;
  readonly replace: string;
}

/** Takes a protection out of the source: a negative control. */
export interface Mutation {
  readonly name: string;
  /** What is gone, and what comes of it. */
  readonly about: string;
  readonly edits: readonly Edit[];
  /** Other protections that must be gone as well, because each of them alone stands in for this one. */
  readonly without?: readonly string[];
  readonly proof: Proof;
}

/** How the simulation shows that the protection is needed. */
export interface Proof extends Search {
  /** Invariants, of which one must break. */
  readonly breaks: readonly string[];
}

/** Runs in which it may break something. */
export interface Search {
  /** Faults that it takes. */
  readonly focus: readonly FaultName[];
  /** No other faults happen: with them the protections of `without` alone might break the same. */
  readonly isAlone?: boolean;
  /** A smaller world makes some meetings likelier. */
  readonly size?: WorldSize;
  /** Much waits, before anything fails. */
  readonly rush?: boolean;
  /** Virtual minutes with faults; default half a minute. */
  readonly minutes?: number;
  /** The search begins here; default 1. */
  readonly from?: number;
}

/** Of every run that looks for the proof; but for its seed. */
export function optionsOf({ focus, isAlone, size, rush = false, minutes }: Search): Omit<SimulateOptions, "seed"> {
  const others = [...faultKinds, ...rateNames].filter((name) => !focus.includes(name));
  return {
    focus,
    ...(isAlone && { without: others }),
    ...(size && { size }),
    rush,
    flood: false,
    outlast: false,
    ...(minutes && { minutes }),
  };
}

/** What can be run without: `npm run sim -- --control NAME`. */
export type Switch = Pick<Mutation, "name" | "edits" | "without"> & { readonly proof: Search };

/** A protection without which no run breaks anything, as far as was searched, and why. */
export interface Explained {
  readonly name: string;
  readonly about: string;
  /** How it is taken out, to search for runs that break. Undefined: `about` says why there is nothing to search. */
  readonly takenOut?: Pick<Mutation, "edits" | "without"> & Search;
}

/** The text with every edit made. Throws when one does not match exactly once. */
export function mutated({ file, text, edits }: { file: string; text: string; edits: readonly Edit[] }): string {
  return edits.reduce((before, { find, replace }) => {
    const parts = before.split(find);
    if (parts.length === 2) return parts.join(replace);
    throw new Error(`${file} contains ${parts.length - 1} times, not once: ${find}`);
  }, text);
}
