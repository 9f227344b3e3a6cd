// Partitions that change their shape and their owners while nothing dies, as operators command it.
import type { ClusterClient } from "@sluice/client";
import { until } from "@sluice/testbed";
import type { Scenario, Stage } from "../contract.ts";
import { adoption, handOff } from "./aims.ts";
import { untilSpread } from "./ownership.ts";
import { tasksRun } from "./workloads.ts";

export const reshape: Scenario = {
  name: "reshape",
  about:
    "a queue is split, a half is moved, both are merged: each is handed off within a second, running tasks are untouched",
  aims: [handOff("move"), adoption],
  repeats: true,
  async run(stage, repeat) {
    await using client = stage.arena.connect();
    const { cluster } = client;
    const queues = (await cluster.get()).queues.map(({ name }) => name);
    for (let n = 0; n < repeat; n += 1) {
      const queue = queues[n % queues.length] as string;
      const handingOff = handingOffIn(stage, cluster, queue);
      await untilSpread(stage);
      await handingOff(["0", "1"], { to: ["0", "1"], command: () => cluster.split(queue, "") });
      const other = await notOwnerOf(cluster, queue, "1");
      await handingOff(["1"], { to: ["1"], command: () => cluster.move(queue, "1", other) });
      await handingOff(["0", "1"], { to: [""], command: () => cluster.merge(queue, "") });
    }
  },
};

interface HandOff {
  /** Prefixes that are taken over by it. */
  readonly to: readonly string[];
  command(): Promise<unknown>;
}

/** The lanes of these prefixes lose their owner. Resolves when who should has taken over, and work goes on. */
function handingOffIn(stage: Stage, cluster: ClusterClient, queue: string) {
  return async (prefixes: readonly string[], { to, command }: HandOff): Promise<void> => {
    await tasksRun(stage);
    const before = Math.max(...(await partitionsIn(cluster, queue)).map(({ epoch }) => epoch));
    const lost = prefixes.map((prefix) => ({ queue, prefix }));
    const over = stage.mark("move", `${queue} to ${to.map((prefix) => prefix || "all").join(" and ")}`, lost);
    await command();
    const areTaken = async () => {
      const now = await partitionsIn(cluster, queue);
      return to.every((prefix) =>
        now.some((each) => each.prefix === prefix && each.owner === each.wishedOwner && each.epoch > before),
      );
    };
    await until(areTaken, { what: `${queue} was not handed off`, timeoutMs: 60_000, everyMs: 100 });
    over();
    await stage.workload.started(100);
  };
}

async function partitionsIn(cluster: ClusterClient, queue: string) {
  return (await cluster.get()).queues.find(({ name }) => name === queue)?.partitions ?? [];
}

async function notOwnerOf(cluster: ClusterClient, queue: string, prefix: string): Promise<string> {
  const owner = (await partitionsIn(cluster, queue)).find((each) => each.prefix === prefix)?.owner;
  const other = (await cluster.get()).members.find(({ id, draining }) => id !== owner && !draining);
  if (!other) throw new Error(`nobody else could own ${queue}/${prefix}`);
  return other.id;
}
