// SIGSTOP of one process, for longer than others trust it, and SIGCONT in the middle of what it did.
import type { Scenario } from "../contract.ts";
import { leaderOf, namesOf, untilSpread } from "./ownership.ts";
import { freeze, freezeAll } from "./steps.ts";
import { fencingNobody } from "./unharmed.ts";
import { brisk, tasksRun, tasksRunOn } from "./workloads.ts";

/** The lease of the default profile and 5 s. */
const longerThanLeaseMs = 11_000;
/** Its owners fence a silent agent after 15 s, its watchdog kills by 25 s, and its tasks go elsewhere after that. */
const longerThanLifelineMs = 35_000;

export const freezes: readonly Scenario[] = [
  {
    name: "scheduler-freeze",
    about:
      "a scheduler stands still for longer than its lease and goes on: its successor's writes stand, its own are refused",
    isFast: true,
    workload: brisk,
    async run(stage, repeat) {
      for (let n = 0; n < repeat; n += 1) {
        await untilSpread(stage);
        await tasksRun(stage);
        await fencingNobody(stage, () => freeze(stage, `scheduler-${n % 3}`, longerThanLeaseMs));
        await stage.workload.started(40);
      }
    },
  },
  {
    name: "leader-freeze",
    about: "the leader stands still for longer than its lease: another leads, and the old one's wishes are not written",
    async run(stage) {
      await freeze(stage, await leaderOf(stage), longerThanLeaseMs);
      await leaderOf(stage);
      await stage.workload.started(100);
    },
  },
  {
    name: "schedulers-freeze",
    about: "all schedulers stand still for longer than their leases, and wake up together",
    async run(stage) {
      await tasksRun(stage);
      await fencingNobody(stage, () => freezeAll(stage, namesOf(stage.arena, "scheduler"), longerThanLeaseMs));
      await stage.workload.started(100);
    },
  },
  {
    name: "api-server-freeze",
    about:
      "an api-server stands still with submissions in hand: they are answered late or unknown, and are one task each",
    async run(stage) {
      await freeze(stage, "api-server-0", 11_000);
      await stage.workload.accepted(100);
    },
  },
  {
    name: "agent-freeze",
    about:
      "an agent stands still for longer than its lifeline: its watchdog kills what it runs before it runs elsewhere",
    async run(stage) {
      await tasksRunOn(stage, "agent-0");
      await freeze(stage, "agent-0", longerThanLifelineMs);
      await stage.workload.started(100);
    },
  },
  {
    name: "agent-freeze-short",
    about: "an agent stands still for less than its lifeline: what it runs goes on and ends once",
    async run(stage) {
      await tasksRunOn(stage, "agent-0");
      await fencingNobody(stage, () => freeze(stage, "agent-0", 10_000));
      await stage.workload.started(100);
    },
  },
];
