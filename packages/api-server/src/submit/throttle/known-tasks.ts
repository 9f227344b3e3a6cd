import type { Clock } from "@sluice/core";
import type { Store } from "@sluice/store";
import type { Draft } from "../parse-submission.ts";

/** Finds those of refused submissions that are repetitions, which cost nothing: their tasks exist. */
export interface KnownTasks {
  /** Which of the drafts have a task already, as far as there is time to look. */
  find(drafts: readonly Draft[]): Promise<ReadonlySet<Draft>>;
}

/** Looking is dearer than refusing, so it is bounded: whoever is refused for want of it comes again. */
const looksPerSecond = 100;
const looksPerMessage = 16;

export function createKnownTasks({ store, clock }: { readonly store: Store; readonly clock: Clock }): KnownTasks {
  let secondOf = Number.NEGATIVE_INFINITY;
  let looks = 0;

  function take(wanted: number): number {
    const second = Math.floor(clock.monotonic() / 1_000);
    if (second !== secondOf) looks = 0;
    secondOf = second;
    const taken = Math.min(wanted, looksPerMessage, looksPerSecond - looks);
    looks += taken;
    return taken;
  }

  return {
    async find(drafts) {
      const repeatable = drafts.filter(({ submissionToken }) => submissionToken !== "");
      const some = repeatable.slice(0, take(repeatable.length));
      const found = await Promise.all(
        some.map(async (draft) => ((await store.tasks.get(draft)) === undefined ? [] : [draft])),
      );
      return new Set(found.flat());
    },
  };
}
