// Loop: reads something of the coordinator anew on each hint of a change, and every two seconds, because hints get lost.
import { AppError, type Clock, createWake, type Loop } from "@sluice/core";
import type { Logger } from "@sluice/runtime";
import { withDeadlines } from "./deadlines.ts";
import type { Coordinator } from "./index.ts";

export interface FollowerOptions {
  readonly coordinator: Coordinator;
  readonly clock: Clock;
  readonly log: Logger;
}

const relistEveryMs = 2_000;
const callDeadlineMs = 1_500;

/** Calls `read` with a coordinator that answers in time, whenever something below `prefix` may have changed. */
export function followLoop(
  { clock, log, ...options }: FollowerOptions,
  prefix: string,
  read: (coordinator: Coordinator) => Promise<void>,
): Loop {
  const coordinator = withDeadlines(options.coordinator, { clock, deadlineMs: callDeadlineMs });
  return async (signal) => {
    const wake = createWake(clock);
    const stop = coordinator.watch(prefix, () => wake.notify());
    try {
      while (!signal.aborted) {
        try {
          await read(coordinator);
        } catch (cause) {
          if (!(cause instanceof AppError)) throw cause;
          log.debug("cannot read what is followed", { prefix, reason: cause.reason });
          // A hint must not make it ask again at once while etcd is away.
          await clock.sleep(relistEveryMs / 4, signal);
        }
        await wake.wait(signal, relistEveryMs);
      }
    } finally {
      stop();
    }
  };
}
