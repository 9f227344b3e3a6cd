// When agents came up, were asked to stop, and were gone.
import type { AgentLife } from "@sluice/checkers";
import type { Clock } from "@sluice/core";
import type { SimNode } from "../net/node.ts";

export interface LifeRecorder {
  /** It is gone, if it was not before: it has fenced itself, or crashed. */
  isOver(): void;
  /** From now on its end is asked for by this signal. */
  until(signal: AbortSignal): void;
}

/** `incarnation`: asked for later, when it is known. */
export function recordLife(
  node: SimNode,
  { clock, lives, incarnation }: { clock: Clock; lives: AgentLife[]; incarnation: () => number },
): LifeRecorder {
  const life: AgentLife = { agentId: node.host, incarnation, upAt: clock.monotonic(), downAt: undefined };
  const isOver = () => {
    life.downAt ??= clock.monotonic();
  };
  lives.push(life);
  node.onDown(isOver);
  return {
    isOver,
    until(signal) {
      signal.addEventListener("abort", () => {
        life.stoppedAt = clock.monotonic();
      });
    },
  };
}
