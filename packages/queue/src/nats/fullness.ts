// How full the stream is, from what the server said last and what was published here since. What others published, and what was
// acked, shows with the next answer: it is asked more often as the stream fills.
import type { Clock } from "@sluice/core";
import type { StreamInfo } from "./api.ts";

export interface Fullness {
  /** The server answered. */
  learn(info: StreamInfo): void;
  /** So many blocks were stored from here. */
  add(blocks: number): void;
  /** The larger share of the two bounds, 0 to 1; undefined: not known, or not lately. */
  share(): number | undefined;
}

/** An answer that is older says nothing: the server is away, and then nothing is published either. */
const ageMaxMs = 15_000;

export function createFullness(clock: Clock): Fullness {
  let known: { readonly info: StreamInfo; readonly at: number } | undefined;
  let added = 0;
  return {
    learn(info) {
      known = { info, at: clock.monotonic() };
      added = 0;
    },
    add(blocks) {
      added += blocks;
    },
    share() {
      if (known === undefined || clock.monotonic() - known.at > ageMaxMs) return undefined;
      const { state, config } = known.info;
      const blocks = state.messages + added;
      // What was added is as large as what is there, on average.
      const bytes = state.messages === 0 ? 0 : (state.bytes / state.messages) * blocks;
      return Math.min(1, Math.max(shareOf(blocks, config.max_msgs), shareOf(bytes, config.max_bytes)));
    },
  };
}

/** -1 and nothing: no bound. */
function shareOf(amount: number, max = -1): number {
  return max <= 0 ? 0 : amount / max;
}
