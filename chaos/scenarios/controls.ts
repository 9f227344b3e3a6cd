// Negative controls: protections are taken out of the services, and the checkers must find what comes of it. A harness that
// finds nothing here would find nothing anywhere.
import type { Scenario } from "../contract.ts";
import { untilSpread } from "./ownership.ts";
import { crash, freeze } from "./steps.ts";
import { brisk, tasksRun } from "./workloads.ts";

/** Many that run for a while: each that two owners believe in is seen. */
const workload = { ...brisk, mix: { short: 30, medium: 50, long: 20 } };

export const controls: readonly Scenario[] = [
  {
    name: "without-fencing",
    about:
      "CONTROL: without floors, barrier and inventory, a scheduler stands still and goes on: tasks run twice at a time",
    arena: { leaseProfile: "fast", without: ["store-floor", "agent-floor", "barrier", "hold-back", "inventory"] },
    workload,
    quietWithinMs: 60_000,
    mustBreak: ["I3"],
    async run(stage) {
      await untilSpread(stage);
      await tasksRun(stage, 20);
      await freeze(stage, "scheduler-0", { ms: 7_000 });
      await stage.workload.started(40);
    },
  },
  {
    name: "without-inventory",
    about:
      "CONTROL: a new owner adopts nothing of what agents run: after kill -9 of a scheduler tasks run twice at a time",
    arena: { leaseProfile: "fast", without: ["inventory"] },
    workload,
    quietWithinMs: 60_000,
    mustBreak: ["I3"],
    async run(stage) {
      await untilSpread(stage);
      await tasksRun(stage, 20);
      await crash(stage, "scheduler-0", { downMs: 3_000 });
      await stage.workload.started(40);
    },
  },
];
