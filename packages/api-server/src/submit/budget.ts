import { AppError, type Clock } from "@sluice/core";

/** Gives back what was taken; the second call does nothing. */
export type Release = () => void;

export interface Budget {
  /**
   * Takes `amount`, first come first served. Rejects with `SERVER_BUSY` when there is no room within `waitMs`, or when too
   * many wait already; resolves with undefined when the signal aborts. More than there is at all counts as everything.
   */
  take(
    amount: number,
    options: { readonly signal: AbortSignal; readonly waitMs?: number },
  ): Promise<Release | undefined>;
  readonly used: number;
}

export interface BudgetOptions {
  readonly clock: Clock;
  readonly total: number;
  /** Callers that may wait; they hold memory too. Default: no bound. */
  readonly waitersMax?: number;
}

interface Waiter {
  readonly amount: number;
  readonly settle: (release: Release | undefined) => void;
}

export function createBudget({ clock, total, waitersMax = Number.POSITIVE_INFINITY }: BudgetOptions): Budget {
  let used = 0;
  const waiters = new Set<Waiter>();

  function grant(amount: number): Release {
    used += amount;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      used -= amount;
      serveNext();
    };
  }
  function serveNext(): void {
    for (const waiter of waiters) {
      // Later and smaller ones do not overtake, or a large one would wait for ever.
      if (used + waiter.amount > total) return;
      waiters.delete(waiter);
      waiter.settle(grant(waiter.amount));
    }
  }

  return {
    async take(wanted, { signal, waitMs }) {
      const amount = Math.min(wanted, total);
      if (signal.aborted) return undefined;
      if (waiters.size === 0 && used + amount <= total) return grant(amount);
      if (waiters.size >= waitersMax) throw busy();
      return new Promise<Release | undefined>((resolve, reject) => {
        const cancelTimer = waitMs === undefined ? undefined : clock.timer(waitMs, () => leave(() => reject(busy())));
        const onAbort = () => leave(() => resolve(undefined));
        const waiter: Waiter = { amount, settle: (release) => leave(() => resolve(release)) };
        function leave(answer: () => void): void {
          waiters.delete(waiter);
          cancelTimer?.();
          signal.removeEventListener("abort", onAbort);
          answer();
          // Whoever gave up may have been what the others waited behind.
          serveNext();
        }
        waiters.add(waiter);
        signal.addEventListener("abort", onAbort, { once: true });
      });
    },
    get used() {
      return used;
    },
  };
}

function busy(): AppError {
  return new AppError("exhausted", "SERVER_BUSY", "the server has no room for more submissions now; try again later", {
    retryAfterMs: 1_000,
  });
}
