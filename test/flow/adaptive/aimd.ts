// How many attempts of one flow may run at once: additive increase, multiplicative decrease on explicit flow-control errors.
//
// Not on latency (as Vegas and Gradient2 do): the durations of tasks differ by five orders of magnitude, so a slow task says
// nothing. It shrinks only when both the rate and the number of errors pass their thresholds: the rate alone flaps when
// little happens (1 of 2), the number alone when much does (5 of 50,000).

export interface AimdConfig {
  /** Default 10. */
  readonly limitStart: number;
  /** Default 1. */
  readonly limitMin: number;
  /** The quota of the flow. */
  readonly limitMax: number;
  /** Decisions are made so often; default 1 s. */
  readonly windowMs: number;
  /** A window with fewer outcomes goes on, up to `windowMaxMs`; default 20 and 10 s. */
  readonly outcomesMin: number;
  readonly windowMaxMs: number;
  /** Shrinks only at so many errors, and at such a share of the outcomes; default 5 and 0.1. */
  readonly errorsMin: number;
  readonly errorRatioMin: number;
  /** Default 0.7. */
  readonly shrinkRatio: number;
  /** No decision for so long after shrinking, or for one round trip if that is longer; default 2 s. */
  readonly holdOffMs: number;
  /** Above a limit of 100 it grows by no more than this share per window; default 0.2. */
  readonly growRatioMax: number;
  /** After so long without backlog it falls to twice of what was used; default 30 s. */
  readonly quietMs: number;
}

export const defaultAimdConfig: AimdConfig = {
  limitStart: 10,
  limitMin: 1,
  limitMax: 1_000,
  windowMs: 1_000,
  outcomesMin: 20,
  windowMaxMs: 10_000,
  errorsMin: 5,
  errorRatioMin: 0.1,
  shrinkRatio: 0.7,
  holdOffMs: 2_000,
  growRatioMax: 0.2,
  quietMs: 30_000,
};

/** All times are monotonic. */
export interface AimdState {
  readonly limit: number;
  /** Of the window. */
  readonly startedAt: number;
  /** Of this window: what came of dispatches, and how many of those were flow control. Errors of users do not count. */
  readonly outcomes: number;
  readonly errors: number;
  /** No decisions before. */
  readonly holdUntil: number;
  /** Since when nothing waits; undefined: something does. */
  readonly quietSince: number | undefined;
  /** The most attempts at once since then. */
  readonly quietPeak: number;
}

export interface AimdFacts {
  readonly now: number;
  /** Attempts of the flow that are dispatched. */
  readonly inflight: number;
  /** Tasks of the flow that could be dispatched if the limit were higher. */
  readonly backlog: number;
  /** Of one dispatch; 0: not known. */
  readonly roundTripMs: number;
}

export function startAimd(now: number, config: AimdConfig): AimdState {
  const limit = Math.max(config.limitMin, Math.min(config.limitStart, config.limitMax));
  return { limit, startedAt: now, outcomes: 0, errors: 0, holdUntil: now, quietSince: undefined, quietPeak: 0 };
}

/** Notes what came of dispatches. */
export function noteOutcomes(
  state: AimdState,
  added: { readonly outcomes: number; readonly errors: number },
): AimdState {
  return { ...state, outcomes: state.outcomes + added.outcomes, errors: state.errors + added.errors };
}

/** Decides; call it about once per window and whenever `inflight` may have peaked. */
export function decideLimit(state: AimdState, facts: AimdFacts, config: AimdConfig): AimdState {
  const watched = release(watchQuiet(state, facts), facts, config);
  const elapsedMs = facts.now - watched.startedAt;
  const isOver =
    elapsedMs >= config.windowMs && (watched.outcomes >= config.outcomesMin || elapsedMs >= config.windowMaxMs);
  if (!isOver) return watched;
  const next: AimdState = { ...watched, startedAt: facts.now, outcomes: 0, errors: 0 };
  if (facts.now < watched.holdUntil) return next;
  if (watched.errors >= config.errorsMin && watched.errors >= config.errorRatioMin * watched.outcomes) {
    const limit = Math.max(config.limitMin, Math.floor(config.shrinkRatio * watched.limit));
    return { ...next, limit, holdUntil: facts.now + Math.max(config.holdOffMs, facts.roundTripMs) };
  }
  const isUsed = facts.backlog > 0 && facts.inflight >= watched.limit / 2;
  if (watched.errors === 0 && isUsed) {
    return {
      ...next,
      limit: Math.max(watched.limit, Math.min(config.limitMax, watched.limit + step(watched, config))),
    };
  }
  return next;
}

function step({ limit }: AimdState, { limitStart, growRatioMax }: AimdConfig): number {
  const additive = Math.max(1, Math.floor(limitStart / 10));
  return limit > 100 ? Math.min(additive, Math.floor(growRatioMax * limit)) : additive;
}

function watchQuiet(state: AimdState, { now, backlog, inflight }: AimdFacts): AimdState {
  if (backlog > 0) return state.quietSince === undefined ? state : { ...state, quietSince: undefined, quietPeak: 0 };
  if (state.quietSince === undefined) return { ...state, quietSince: now, quietPeak: inflight };
  return inflight > state.quietPeak ? { ...state, quietPeak: inflight } : state;
}

/** Gives to others what is not used, but not below what a new flow starts with: coming back must not be worse. */
function release(state: AimdState, { now, inflight }: AimdFacts, config: AimdConfig): AimdState {
  if (state.quietSince === undefined || now - state.quietSince < config.quietMs) return state;
  const limit = Math.min(state.limit, Math.max(config.limitMin, config.limitStart, 2 * state.quietPeak));
  return { ...state, limit, quietSince: now, quietPeak: inflight };
}
