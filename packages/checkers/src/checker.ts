// What every checker is: a promise, what it must know to judge it, and the judgement.
import type { History, Violation } from "./history.ts";

export type Source = keyof History;

/** A history in which these sources are present. */
export type HistoryWith<K extends Source> = History & { readonly [P in K]-?: NonNullable<History[P]> };

/** A history that lacks nothing, as that of the simulation. */
export type FullHistory = HistoryWith<Source>;

export interface Checker {
  /** As in the design, such as `I3`. */
  readonly invariant: string;
  /** The promise, in one sentence. */
  readonly about: string;
  /** Without these it cannot judge; what else it finds makes it sharper. */
  readonly needs: readonly Source[];
  /** Throws if a source that it needs is absent. */
  readonly check: (history: History) => Violation[];
}

export interface CheckerOptions<K extends Source> {
  readonly invariant: string;
  readonly about: string;
  readonly needs: readonly K[];
  readonly check: (history: HistoryWith<K>) => Violation[];
}

export function createChecker<K extends Source>(options: CheckerOptions<K>): Checker {
  const { invariant, needs } = options;
  return {
    ...options,
    check(history) {
      if (!hasSources(history, needs)) throw new Error(`${invariant} needs ${needs.join(", ")}`);
      return options.check(history);
    },
  };
}

export function canCheck({ needs }: Checker, history: History): boolean {
  return hasSources(history, needs);
}

function hasSources<K extends Source>(history: History, needs: readonly K[]): history is HistoryWith<K> {
  return needs.every((source) => history[source] !== undefined);
}
