// Orderly stops: nobody may notice.
import { rollUpgrade } from "../../drill/upgrade.ts";
import type { Scenario, Stage } from "../contract.ts";
import { adoption, handOff } from "./aims.ts";
import { replacing } from "./bites.ts";
import { namesOf, untilSpread } from "./ownership.ts";
import { restart } from "./steps.ts";
import { tasksRun, tasksRunOn } from "./workloads.ts";

export const stops: readonly Scenario[] = [
  {
    name: "scheduler-stop",
    about: "SIGTERM of a scheduler: it hands its partitions off within a second, and running tasks are untouched",
    aims: [handOff("stop"), adoption],
    repeats: true,
    async run(stage, repeat) {
      const schedulers = namesOf(stage.arena, "scheduler");
      for (let n = 0; n < repeat; n += 1) {
        await untilSpread(stage);
        await tasksRun(stage);
        await restart(stage, schedulers[n % schedulers.length] as string);
        await stage.workload.started(40);
      }
    },
  },
  {
    name: "api-server-stop",
    about: "SIGTERM of an api-server: what it has taken is answered, the rest goes to the other one",
    repeats: true,
    async run(stage, repeat) {
      const apiServers = namesOf(stage.arena, "api-server");
      for (let n = 0; n < repeat; n += 1) {
        await restart(stage, apiServers[n % apiServers.length] as string);
        await stage.workload.accepted(100);
      }
    },
  },
  {
    name: "agent-stop",
    about: "SIGTERM of an agent: it takes nothing new, finishes what it can in 10 s, and hands the rest back",
    repeats: true,
    async run(stage, repeat) {
      const agents = namesOf(stage.arena, "agent");
      for (let n = 0; n < repeat; n += 1) {
        const victim = agents[n % agents.length] as string;
        await tasksRunOn(stage, victim);
        await restart(stage, victim);
        await stage.workload.started(40);
      }
    },
  },
  {
    name: "rolling-upgrade",
    about: "every api-server, scheduler and agent is replaced, one by one (the drill does it with another version)",
    aims: [handOff("upgrade"), adoption],
    repeats: true,
    async run(stage, repeat) {
      for (let n = 0; n < repeat; n += 1) await replacingAll(stage, () => rollUpgrade(stage));
    },
  },
];

async function replacingAll({ arena }: Stage, work: () => Promise<unknown>): Promise<void> {
  const all = arena.cluster.services.map(({ name }) => arena.part(name));
  const strike = all.reduce<() => Promise<void>>(
    (inner, part) => () => replacing(part, inner),
    async () => void (await work()),
  );
  await strike();
}
