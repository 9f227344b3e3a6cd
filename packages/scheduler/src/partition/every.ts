import type { Loop } from "@sluice/core";
import type { PartitionContext } from "./context.ts";

/** Runs `work` every `everyMs` or when woken; an operating failure is logged and tried again. */
export function every(
  context: PartitionContext,
  name: string,
  pause: (signal: AbortSignal) => Promise<void>,
  work: (signal: AbortSignal) => Promise<"stale" | undefined>,
): Loop {
  return async (signal) => {
    while (!signal.aborted) {
      try {
        if (!context.draining && context.isTrusted() && (await work(signal)) === "stale") {
          context.stepDown(`${name} was refused by the floor`);
          return;
        }
      } catch (cause) {
        if (!signal.aborted) context.log.warn(`cannot ${name}`, { cause: String(cause) });
      }
      await pause(signal);
    }
  };
}
