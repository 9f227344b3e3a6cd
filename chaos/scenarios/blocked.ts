// An event loop that does nothing for 10 s, as after a giant JSON or in a long collection: timers and sockets wait, and the
// kernel goes on answering for it.
import type { Scenario } from "../contract.ts";
import { fencingNobody, losingLease } from "./effects.ts";
import { untilSpread } from "./ownership.ts";
import { block } from "./steps.ts";
import { tasksRun, tasksRunOn } from "./workloads.ts";

const blockedMs = 10_000;

export const blocked: readonly Scenario[] = [
  {
    name: "scheduler-blocked",
    about: "the event loop of a scheduler is blocked for 10 s: it does not act on a lease that has ended meanwhile",
    repeats: true,
    async run(stage, repeat) {
      for (let n = 0; n < repeat; n += 1) {
        await untilSpread(stage);
        await tasksRun(stage);
        const victim = `scheduler-${n % 3}`;
        await losingLease(stage, [victim], () => fencingNobody(stage, () => block(stage, victim, blockedMs)));
        await stage.workload.started(100);
      }
    },
  },
  {
    name: "agent-blocked",
    about: "the event loop of an agent is blocked for 10 s: what it runs goes on and ends once",
    repeats: true,
    async run(stage, repeat) {
      for (let n = 0; n < repeat; n += 1) {
        await tasksRunOn(stage, `agent-${n % 3}`);
        await fencingNobody(stage, () => block(stage, `agent-${n % 3}`, blockedMs));
        await stage.workload.started(100);
      }
    },
  },
  {
    name: "api-server-blocked",
    about: "the event loop of an api-server is blocked for 10 s: agents and clients go on through the other one",
    async run(stage) {
      await block(stage, "api-server-0", blockedMs);
      await stage.workload.accepted(100);
    },
  },
];
