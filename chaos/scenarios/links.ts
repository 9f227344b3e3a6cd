// Links that work, badly.
import type { Scenario, Stage } from "../contract.ts";
import { fencingNobody, keepingLeases, untilNothingIsDispatched } from "./effects.ts";
import { namesOf } from "./ownership.ts";
import { reset, slow, type Way } from "./steps.ts";
import { tasksRun } from "./workloads.ts";

export const links: readonly Scenario[] = [
  {
    name: "links-slow",
    needs: ["pairs"],
    about: "every answer takes 300 ms longer for 30 s: nobody is fenced, nobody loses a lease, only throughput falls",
    async run(stage) {
      await tasksRun(stage);
      await fencingNobody(stage, async () => {
        const before = stage.workload.counts.accepted;
        // Half of what is usual at least, and not only when it is over.
        const meanwhile = () => stage.workload.started(300, 30_000);
        await keepingLeases(stage, () => slow(stage, allWays(stage), { ms: 30_000, delayMs: 150, meanwhile }));
        if (stage.workload.counts.accepted - before < 300) throw new Error("hardly anything was accepted meanwhile");
      });
    },
  },
  {
    name: "links-crawling",
    needs: ["pairs"],
    about:
      "every answer takes 600 ms longer, more than calls of etcd wait: no lease is trusted and nothing starts, nobody is fenced",
    async run(stage) {
      await tasksRun(stage);
      const meanwhile = () => untilNothingIsDispatched(stage);
      await fencingNobody(stage, () => slow(stage, allWays(stage), { ms: 30_000, delayMs: 300, meanwhile }));
      await stage.workload.started(100);
    },
  },
  {
    name: "links-narrow",
    needs: ["pairs"],
    about: "the links to an agent, and of a scheduler to PostgreSQL, pass 16 KiB a second for 30 s: nobody is fenced",
    async run(stage) {
      await tasksRun(stage);
      const ways: Way[] = [
        ...namesOf(stage.arena, "scheduler").map((name): Way => [name, "agent-0"]),
        ["scheduler-0", "postgres"],
      ];
      await fencingNobody(stage, () => slow(stage, ways, { ms: 30_000, bytesPerSecond: 16 * 1024 }));
      await stage.workload.started(100);
    },
  },
  {
    name: "links-reset",
    needs: ["pairs"],
    about: "every connection is reset at once, five times: all are made anew, every attempt is adopted",
    async run(stage) {
      await fencingNobody(stage, async () => {
        for (let n = 0; n < 5; n += 1) {
          await tasksRun(stage);
          if (reset(stage, allWays(stage)) === 0) throw new Error("there was no connection to reset");
          await stage.sleep(2_000 + 4_000 * stage.random());
        }
      });
      await stage.workload.started(100);
    },
  },
];

/** Every link between parts of the cluster, and those of the clients. */
export function allWays({ arena }: Stage): Way[] {
  const schedulers = namesOf(arena, "scheduler");
  const apiServers = namesOf(arena, "api-server");
  const agents = namesOf(arena, "agent");
  const backends = arena.cluster.backends.map(({ name }) => name);
  const between = (from: readonly string[], to: readonly string[]) =>
    from.flatMap((each) => to.map((other): Way => [each, other]));
  return [
    ...between(["client"], apiServers),
    ...between([...apiServers, ...schedulers], backends),
    ...between(schedulers, agents),
    ...between(agents, apiServers),
  ];
}
