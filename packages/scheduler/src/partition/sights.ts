// Whether a flow has a partition to itself. Only then may what does not fit into memory stay in the queue: there is nobody whom
// it keeps waiting.
import type { Clock } from "@sluice/core";

export interface Sights {
  /** A block of this flow was published, or delivered. */
  see(flowKey: string): void;
  /** Whether only one flow was seen of late, and nobody can have been overlooked. */
  readonly isAlone: boolean;
  readonly isInDoubt: boolean;
  /** What was published may have been overlooked, until everything is delivered. */
  doubt(): void;
  /** Nothing waits in the queue that was not seen. */
  clear(): void;
}

/** Others that were not seen for so long are gone. */
const goneAfterMs = 60_000;

export function createSights(clock: Clock): Sights {
  let last: string | undefined;
  let lastSeenAt = Number.NEGATIVE_INFINITY;
  /** When a flow other than the last one was seen. */
  let otherSeenAt = Number.NEGATIVE_INFINITY;
  let isInDoubt = true;
  return {
    see(flowKey) {
      if (flowKey !== last) otherSeenAt = lastSeenAt;
      last = flowKey;
      lastSeenAt = clock.monotonic();
    },
    get isAlone() {
      return !isInDoubt && clock.monotonic() - otherSeenAt > goneAfterMs;
    },
    get isInDoubt() {
      return isInDoubt;
    },
    doubt() {
      isInDoubt = true;
    },
    clear() {
      isInDoubt = false;
    },
  };
}
