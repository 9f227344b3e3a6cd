// kill -9 of one process, or of two at once.
import type { Scenario, Stage } from "../contract.ts";
import { adoption, failover } from "./aims.ts";
import { replacing } from "./bites.ts";
import { counted, fencingNobody, untilCounted } from "./effects.ts";
import { leaderOf, namesOf, untilLedByAnother, untilOwned, untilSpread } from "./ownership.ts";
import { crash } from "./steps.ts";
import { tasksRun, tasksRunOn } from "./workloads.ts";

export const crashes: readonly Scenario[] = [
  {
    name: "scheduler-kill",
    about:
      "kill -9 of a scheduler: its partitions find new owners within a lease, running tasks are adopted, none repeated",
    isFast: true,
    aims: [failover, adoption],
    repeats: true,
    async run(stage, repeat) {
      const schedulers = namesOf(stage.arena, "scheduler");
      for (let n = 0; n < repeat; n += 1) {
        const victim = schedulers[n % schedulers.length] as string;
        await untilSpread(stage);
        await tasksRun(stage);
        await crashScheduler(stage, victim);
        await stage.workload.started(40);
      }
    },
  },
  {
    name: "leader-kill",
    about:
      "kill -9 of the scheduler that leads, and so of the load-balancer: another leads, and nothing else is to be seen",
    aims: [failover, adoption],
    repeats: true,
    async run(stage, repeat) {
      for (let n = 0; n < repeat; n += 1) {
        await untilSpread(stage);
        const victim = await leaderOf(stage);
        await crashScheduler(stage, victim, () => untilLedByAnother(stage, victim));
      }
    },
  },
  {
    name: "schedulers-kill",
    about: "kill -9 of all schedulers at once: agents go on, and report what ended meanwhile to whoever comes",
    async run(stage) {
      await tasksRun(stage);
      await Promise.all(namesOf(stage.arena, "scheduler").map((name) => crash(stage, name, { downMs: 3_000 })));
      await stage.workload.started(100);
    },
  },
  {
    name: "api-server-kill",
    about:
      "kill -9 of an api-server: clients and agents go on through the other one, unknown outcomes are one task each",
    repeats: true,
    async run(stage, repeat) {
      const apiServers = namesOf(stage.arena, "api-server");
      for (let n = 0; n < repeat; n += 1) {
        await crash(stage, apiServers[n % apiServers.length] as string, { downMs: 3_000 });
        await stage.workload.accepted(100);
      }
    },
  },
  {
    name: "api-servers-kill",
    about: "kill -9 of all api-servers for 8 s, less than the lifeline of agents: no task is touched",
    async run(stage) {
      await fencingNobody(stage, async () => {
        await Promise.all(namesOf(stage.arena, "api-server").map((name) => crash(stage, name, { downMs: 8_000 })));
      });
      await stage.workload.accepted(100);
    },
  },
  {
    name: "agent-kill",
    about:
      "kill -9 of an agent: its watchdog kills what it ran, which runs again as the next attempt, and nothing else does",
    isFast: true,
    repeats: true,
    async run(stage, repeat) {
      const agents = namesOf(stage.arena, "agent");
      for (let n = 0; n < repeat; n += 1) {
        const victim = agents[n % agents.length] as string;
        await tasksRunOn(stage, victim);
        await crash(stage, victim);
        await stage.workload.started(40);
      }
    },
  },
  {
    name: "agent-gone",
    about: "kill -9 of an agent that stays away for 45 s: it is found dead after 25 s, and its tasks run elsewhere",
    async run(stage) {
      await tasksRunOn(stage, "agent-1");
      const counter = "sluice_scheduler_fenced_agents_total";
      const than = await counted(stage, "scheduler", counter);
      const meanwhile = () => untilCounted(stage, "scheduler", counter, { than });
      await crash(stage, "agent-1", { downMs: 45_000, meanwhile });
      await stage.workload.started(100);
    },
  },
  {
    name: "scheduler-and-agent-kill",
    about: "kill -9 of a scheduler and an agent at once: only the agent's journal and the store know what ran",
    repeats: true,
    async run(stage, repeat) {
      for (let n = 0; n < repeat; n += 1) {
        await untilSpread(stage);
        await tasksRunOn(stage, `agent-${n % 3}`);
        await Promise.all([crashScheduler(stage, `scheduler-${n % 3}`), crash(stage, `agent-${n % 3}`)]);
        await stage.workload.started(40);
      }
    },
  },
];

/** It stays away until others own what it owned: one that is back at once would take some of it over itself. */
async function crashScheduler(stage: Stage, name: string, meanwhile?: () => Promise<void>): Promise<void> {
  const { arena } = stage;
  const part = arena.part(name);
  const over = stage.mark("crash", name, (await arena.partitions()).get(name) ?? []);
  await replacing(part, async () => {
    await part.crash();
    await Promise.all([untilOwned(stage, { except: name }), meanwhile?.()]);
    await part.start();
  });
  over();
}
