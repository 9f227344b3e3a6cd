// SIGSTOP of one process, for longer than others trust it, and SIGCONT in the middle of what it did.
import type { Scenario } from "../contract.ts";
import { fencing, fencingNobody, losingLease } from "./effects.ts";
import { leaderOf, namesOf, untilLedByAnother, untilOwned, untilSpread } from "./ownership.ts";
import { freeze, freezeAll } from "./steps.ts";
import { tasksRun, tasksRunOn } from "./workloads.ts";

/** The lease of the default profile and 5 s. */
const longerThanLeaseMs = 11_000;
/** Its owners fence a silent agent after 15 s, its watchdog kills by 25 s, and its tasks go elsewhere after that. */
const longerThanLifelineMs = 35_000;

export const freezes: readonly Scenario[] = [
  {
    name: "scheduler-freeze",
    about:
      "a scheduler stands still for longer than its lease and goes on: it gives up what others own, and nothing runs twice",
    isFast: true,
    repeats: true,
    async run(stage, repeat) {
      for (let n = 0; n < repeat; n += 1) {
        await untilSpread(stage);
        await tasksRun(stage);
        const victim = `scheduler-${n % 3}`;
        const meanwhile = () => untilOwned(stage, { except: victim });
        await losingLease(stage, [victim], () =>
          fencingNobody(stage, () => freeze(stage, victim, { ms: longerThanLeaseMs, meanwhile })),
        );
        await stage.workload.started(40);
      }
    },
  },
  {
    name: "leader-freeze",
    about: "the leader stands still for longer than its lease: another leads, and the old one's wishes are not written",
    async run(stage) {
      const old = await leaderOf(stage);
      await freeze(stage, old, { ms: longerThanLeaseMs, meanwhile: () => untilLedByAnother(stage, old) });
      await stage.workload.started(100);
    },
  },
  {
    name: "schedulers-freeze",
    about: "all schedulers stand still for longer than their leases, and wake up together",
    async run(stage) {
      await tasksRun(stage);
      const all = namesOf(stage.arena, "scheduler");
      await losingLease(stage, all, (meanwhile) =>
        fencingNobody(stage, () => freezeAll(stage, all, { ms: longerThanLeaseMs, meanwhile })),
      );
      await stage.workload.started(100);
    },
  },
  {
    name: "api-server-freeze",
    about:
      "an api-server stands still with submissions in hand: they are answered late or unknown, and are one task each",
    async run(stage) {
      await freeze(stage, "api-server-0", { ms: 11_000 });
      await stage.workload.accepted(100);
    },
  },
  {
    name: "agent-freeze",
    about:
      "an agent stands still for longer than its lifeline: its watchdog kills what it runs before it runs elsewhere",
    async run(stage) {
      await tasksRunOn(stage, "agent-0");
      // Nobody can ask it meanwhile.
      await fencing(stage, "agent-0", () => freeze(stage, "agent-0", { ms: longerThanLifelineMs }));
      await stage.workload.started(100);
    },
  },
  {
    name: "agent-freeze-short",
    about: "an agent stands still for less than its lifeline: what it runs goes on and ends once",
    async run(stage) {
      await tasksRunOn(stage, "agent-0");
      await fencingNobody(stage, () => freeze(stage, "agent-0", { ms: 10_000 }));
      await stage.workload.started(100);
    },
  },
];
