const realImmediate = setImmediate;

/** So many turns are asked for at once, later on. */
const turnsAtOnceMax = 64;

/**
 * Calls `work` in one real turn of the event loop after the other, until it returns something. Between two calls every
 * promise that is ready runs, and what those make ready. Rejects with what `work` throws.
 *
 * Turns are asked for in growing numbers: promises run between the callbacks of one round of `setImmediate` as well, but a
 * round of its own for each would take longer than most of what happens in it.
 */
export function inTurns<T>(work: () => T | undefined | Promise<T | undefined>): Promise<T> {
  return new Promise((resolve, reject) => {
    let state: "working" | "waiting" | "over" = "working";
    let turnsAtOnce = 1;
    let turnsLeft = 0;

    function ask(): void {
      turnsLeft = turnsAtOnce;
      turnsAtOnce = Math.min(turnsAtOnce * 2, turnsAtOnceMax);
      for (let turn = 0; turn < turnsLeft; turn++) realImmediate(takeTurn);
    }
    function takeTurn(): void {
      turnsLeft--;
      if (state !== "working") return;
      try {
        const result = work();
        if (result instanceof Promise) {
          state = "waiting";
          result.then(take, fail);
        } else take(result);
      } catch (error) {
        fail(error);
      }
    }
    function take(result: T | undefined): void {
      state = result === undefined ? "working" : "over";
      if (result !== undefined) resolve(result);
      else if (turnsLeft === 0) ask();
    }
    function fail(error: unknown): void {
      state = "over";
      reject(error);
    }
    ask();
  });
}
