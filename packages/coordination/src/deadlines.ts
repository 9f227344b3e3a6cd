import type { Clock } from "@sluice/core";
import { coordinatorUnavailable } from "./errors.ts";
import type { Coordinator } from "./index.ts";

/**
 * The same coordinator, but a call that is not answered within `deadlineMs` rejects with `COORDINATOR_UNAVAILABLE`: its
 * outcome is not known. For loops, which must not hang on a lost answer.
 */
export function withDeadlines(
  coordinator: Coordinator,
  { clock, deadlineMs }: { readonly clock: Clock; readonly deadlineMs: number },
): Coordinator {
  const inTime = <T>(answer: Promise<T>): Promise<T> => answerWithin(answer, clock, deadlineMs);
  return {
    grant: (ttlMs) => inTime(coordinator.grant(ttlMs)),
    renew: (lease) => inTime(coordinator.renew(lease)),
    revoke: (lease) => inTime(coordinator.revoke(lease)),
    get: (key) => inTime(coordinator.get(key)),
    list: (prefix) => inTime(coordinator.list(prefix)),
    commit: (conditions, operations) => inTime(coordinator.commit(conditions, operations)),
    watch: (prefix, onHint) => coordinator.watch(prefix, onHint),
    // Closing is up to whoever opened it.
    [Symbol.asyncDispose]: async () => {},
  };
}

/** A late answer is dropped, a late rejection too: both settle a promise that is settled. */
function answerWithin<T>(answer: Promise<T>, clock: Clock, deadlineMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancelTimer = clock.timer(deadlineMs, () =>
      reject(coordinatorUnavailable(`no answer within ${deadlineMs} ms`)),
    );
    answer.then(resolve, reject).finally(cancelTimer);
  });
}
