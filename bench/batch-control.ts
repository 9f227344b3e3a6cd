// How fast what waits is paused, stopped and deleted: PostgreSQL of its own, the queue in memory, one scheduler that owns
// everything in several partitions, and no agent. Prints rows per second of each operation, from the call to its end.
//
//   node --import tsx bench/batch-control.ts [tasks] [stop|delete]
import { cpus } from "node:os";
import { systemClock } from "@sluice/runtime";
import type { OperationKind, Store } from "@sluice/store";
import { openPostgres } from "@sluice/store/postgres";
import { startPostgres } from "@sluice/testbed";
import { flow, kit, type OneScheduler, startOneScheduler } from "./one-scheduler.ts";

const dayMs = 86_400_000;

async function work(store: Store, scheduler: OneScheduler, kind: OperationKind, prefix: string): Promise<void> {
  const startedAt = performance.now();
  const operationId = `${kind}-${prefix}`;
  const filter = { accountId: flow.accountId, taskIdPrefix: prefix };
  await store.control.start({ operationId, kind, filter, createdBy: flow.accountId });
  scheduler.hint();
  for (;;) {
    const progress = await store.control.operation(operationId);
    if (progress?.finishedAt !== undefined) {
      const seconds = (performance.now() - startedAt) / 1_000;
      const { matched, done, failed } = progress;
      console.log(JSON.stringify({ kind, matched, done, failed, seconds, rowsPerSecond: Math.round(done / seconds) }));
      return;
    }
    await systemClock.sleep(50);
  }
}

async function main(taskCount: number, kinds: readonly OperationKind[]): Promise<void> {
  await using postgres = await startPostgres();
  await using store = await openPostgres({ url: postgres.url, ...kit });
  await using scheduler = await startOneScheduler(store);
  console.log(`${taskCount} tasks of 256 bytes, ${cpus().length} cores, Node ${process.version}, with fsync`);
  for (const kind of kinds) {
    const submittedPerSecond = await scheduler.submit(`${kind}-`, taskCount, () => dayMs);
    console.log(JSON.stringify({ submittedPerSecond }));
    const cpu = process.cpuUsage();
    await work(store, scheduler, kind, `${kind}-`);
    const used = process.cpuUsage(cpu);
    console.log(JSON.stringify({ schedulerMicrosPerTask: (used.user + used.system) / taskCount }));
  }
  // What has ended goes as well.
  if (kinds.includes("stop")) await work(store, scheduler, "delete", "stop-");
}

const [, , count = "1000000", kind] = process.argv;
await main(Number(count), kind === "stop" || kind === "delete" ? [kind] : ["stop", "delete"]);
