// What adaptive dispatch goes by; `adaptive.ts` says how.
export interface AdaptiveConfig {
  /** A window is judged after so long; default 1 s. */
  readonly windowMs: number;
  /** One with fewer starts, or with fewer errors than their share asks for, goes on, up to `windowMaxMs`; 20 and 60 s. */
  readonly startsMin: number;
  readonly windowMaxMs: number;
  /** Shrinks only at so many errors, and at such a share of the starts; 5 and 0.05. */
  readonly errorsMin: number;
  readonly errorRatioMin: number;
  /** How far below the limit it starts after a shrink; 0.05. */
  readonly dip: number;
  /** Time to come back to the limit; longer at low rates, until so many could start, but no longer than; 8 s, 60, 60 s. */
  readonly plateauMs: number;
  readonly plateauStarts: number;
  readonly plateauMaxMs: number;
  /** Grows by no more than this share per window; 0.2. */
  readonly growRatioMax: number;
  /** Attempts at once that a new flow may have; below it the window of concurrency doubles, above it `growRatioMax`; 100. */
  readonly concurrencyStart: number;
  /** A window that bounded nothing for so long is released; 30 s. */
  readonly quietMs: number;
  /** The longest that a retry-after is obeyed; 60 s. */
  readonly holdMaxMs: number;
}

export const defaultAdaptiveConfig: AdaptiveConfig = {
  windowMs: 1_000,
  startsMin: 20,
  windowMaxMs: 60_000,
  errorsMin: 5,
  errorRatioMin: 0.05,
  dip: 0.05,
  plateauMs: 8_000,
  plateauStarts: 60,
  plateauMaxMs: 60_000,
  growRatioMax: 0.2,
  concurrencyStart: 100,
  quietMs: 30_000,
  holdMaxMs: 60_000,
};
