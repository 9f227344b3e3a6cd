// A disk that is full for a while, under a part that must write.
import type { ServiceKind } from "@sluice/cluster";
import type { Scenario, Stage } from "../contract.ts";
import { counted, untilCounted } from "./effects.ts";
import { crash } from "./steps.ts";
import { tasksRun, tasksRunOn } from "./workloads.ts";

export const disks: readonly Scenario[] = [
  {
    name: "nats-disk-full",
    about:
      "the disk of nats-server is full for 20 s: submissions go on, and what could not be announced is announced later",
    needs: ["tmpfs"],
    arena: { smallDisks: { "nats-0": 64 } },
    async run(stage) {
      await tasksRun(stage);
      await fillDisk(stage, "nats-0", { kind: "api-server", counter: "sluice_nats_publish_failures_total" });
      // JetStream 2.9 answers nobody any more once it could not write, also when there is room again.
      await crash(stage, "nats-0");
      await stage.workload.started(100);
    },
  },
  {
    name: "postgres-disk-full",
    about: "the disk of PostgreSQL is full for 20 s, as if it were away for writes: results wait at their agents",
    needs: ["tmpfs"],
    arena: { smallDisks: { postgres: 256 } },
    async run(stage) {
      await tasksRun(stage);
      await fillDisk(stage, "postgres", { kind: "api-server", counter: "sluice_postgres_errors_total" });
      // It ends by itself when there is no room for its log.
      await stage.arena.part("postgres").start();
      await stage.workload.started(100);
    },
  },
  {
    name: "agent-disk-full",
    about: "the disk of an agent is full for 20 s: it takes nothing new that it could not remember, others go on",
    needs: ["tmpfs"],
    arena: { smallDisks: { "agent-0": 32 } },
    async run(stage) {
      await tasksRunOn(stage, "agent-0");
      await fillDisk(stage, "agent-0", { kind: "agent", counter: "sluice_agent_journal_failures_total" });
      await stage.workload.started(100);
      await tasksRunOn(stage, "agent-0");
    },
  },
];

const fullMs = 20_000;

/** `counter`: of the services of a kind, by which they tell that something could not be written. */
async function fillDisk(
  stage: Stage,
  name: string,
  { kind, counter }: { readonly kind: ServiceKind; readonly counter: string },
): Promise<void> {
  const than = await counted(stage, kind, counter);
  const over = stage.mark("disk-full", name);
  await stage.arena.fillDisk(name);
  await Promise.all([stage.sleep(fullMs), untilCounted(stage, kind, counter, { than })]);
  await stage.arena.freeDisk(name);
  over();
}
