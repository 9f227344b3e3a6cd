// The mechanisms that `npm run bench:flow` runs without, as edits of the source that services load.
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Edit } from "../../test/mutations/mutation.ts";

export const mechanisms = ["fair order", "look-ahead", "adaptive dispatch", "urgency", "queues"] as const;
export type Mechanism = (typeof mechanisms)[number];

/** In the environment of a service with `withoutFlags`: mechanisms that it runs without, separated by commas. */
export const withoutVariable = "SLUICE_BENCH_WITHOUT";

/** Flags of `node`, to be given before `--import tsx`. */
export const withoutFlags: readonly string[] = [
  "--import",
  pathToFileURL(join(import.meta.dirname, "register.mjs")).href,
];

export function edits(name: Mechanism): readonly Edit[] {
  return byMechanism[name];
}

const fairness = "packages/core/src/flow/fairness.ts";

const byMechanism: Readonly<Record<Mechanism, readonly Edit[]>> = {
  // Flows and accounts have the rank of their oldest task: first in, first out, whoever it is of.
  "fair order": [
    {
      file: fairness,
      find: "account.eligible.update(queue, queue.rank + cost / queue.weight);",
      replace: "account.eligible.update(queue, queue.items.peek()?.rank ?? queue.rank);",
    },
    {
      file: fairness,
      find: "this.#eligible.update(account, account.rank + cost / account.weight);",
      replace: "this.#eligible.update(account, account.eligible.peek()?.rank ?? account.rank);",
    },
    {
      file: fairness,
      find: "queue.rank = Math.max(queue.rank, account.time.now);",
      replace: "queue.rank = queue.items.peek()?.rank ?? 0;",
    },
    {
      file: fairness,
      find: "account.rank = Math.max(account.rank, this.#time.now);",
      replace: "account.rank = account.eligible.peek()?.rank ?? 0;",
    },
  ],
  // What does not fit stays in the queue, and hides what is behind it. The setting of the look-ahead does the rest.
  "look-ahead": [
    {
      file: "packages/scheduler/src/partition/overflow.ts",
      find: "if (!lookAhead.isTight(loadOf(priority))) continue;",
      replace: "continue;",
    },
  ],
  "adaptive dispatch": [
    {
      file: "packages/scheduler/src/partition/gates/adaptive.ts",
      find: "const room = entry.state.room(now);",
      replace: "const room = Number.POSITIVE_INFINITY;",
    },
  ],
  urgency: [
    {
      file: "packages/core/src/flow/urgency.ts",
      find: "return task.enqueuedAt + patienceMs[task.priority];",
      replace: "return task.enqueuedAt;",
    },
  ],
  // Everybody is in one queue, and stays there: the other mechanisms are measured where they have no help.
  queues: [
    {
      file: "packages/core/src/placement/shuffle-shard.ts",
      find: "return shardOf(accountId, queues, 2);",
      replace: "return queues.slice(0, 1);",
    },
    {
      file: "packages/coordination/src/route-limits.ts",
      find: "routesMax: routesMaxDefault,",
      replace: "routesMax: 0,",
    },
  ],
};
