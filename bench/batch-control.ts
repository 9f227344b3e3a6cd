// How fast what waits is paused, stopped and deleted: PostgreSQL of its own, the queue in memory, one scheduler that owns
// everything in several partitions, and no agent. Prints rows per second of each operation, from the call to its end.
//
//   node --import tsx bench/batch-control.ts [tasks] [stop|delete]
import { setMaxListeners } from "node:events";
import { cpus } from "node:os";
import { createMemoryCoordinator } from "@sluice/coordination/memory";
import { AccountId, FunctionName, TaskId } from "@sluice/core";
import { controlTopic } from "@sluice/queue";
import { createMemoryQueue, createMemorySignals } from "@sluice/queue/memory";
import { createLogger, systemClock, systemRandom } from "@sluice/runtime";
import { blocksOf, createScheduler, defaultSchedulerConfig } from "@sluice/scheduler";
import type { Announcement, NewTask, OperationKind } from "@sluice/store";
import { openPostgres } from "@sluice/store/postgres";
import { startPostgres } from "@sluice/testbed";
import { Registry } from "prom-client";

const flow = { accountId: AccountId("bench"), functionName: FunctionName("noop") };
const queues = ["q0", "q1"] as const;

async function main(taskCount: number, kinds: readonly OperationKind[]): Promise<void> {
  setMaxListeners(0);
  const registry = new Registry();
  const kit = {
    clock: systemClock,
    random: systemRandom,
    log: createLogger({ service: "bench", level: "error" }),
    registry,
  };
  await using postgres = await startPostgres();
  await using store = await openPostgres({ url: postgres.url, ...kit });
  await using queue = createMemoryQueue({ clock: systemClock });
  await using signals = createMemorySignals();
  const stop = new AbortController();
  const scheduler = createScheduler({
    ...kit,
    config: { ...defaultSchedulerConfig, schedulerId: "s" },
    ...{ store, queue, signals, queues },
    coordinator: createMemoryCoordinator({ clock: systemClock }),
    connectAgent: () => {
      throw new Error("there is no agent");
    },
  });
  const running = scheduler.run(stop.signal);

  const submit = async (prefix: string) => {
    const startedAt = performance.now();
    for (let start = 0, lane = 0; start < taskCount; start += 1_000, lane = (lane + 1) % 32) {
      const tasks = Array.from({ length: 1_000 }, (_, n) =>
        newTask(`${prefix}${start + n}`, lane, queues[(start / 1_000) % 2] ?? "q0"),
      );
      const outcomes = await store.tasks.insert(tasks);
      const rows = outcomes.flatMap((outcome, n): Announcement[] => {
        const { priority = 2 } = tasks[n] ?? {};
        return outcome.kind === "inserted" ? [{ ...flow, ...outcome, lane, priority }] : [];
      });
      await queue.publish(blocksOf(tasks[0]?.queue ?? "q0", rows));
    }
    return Math.round(taskCount / ((performance.now() - startedAt) / 1_000));
  };

  const work = async (kind: OperationKind, prefix: string) => {
    const startedAt = performance.now();
    const operationId = `${kind}-${prefix}`;
    const filter = { accountId: flow.accountId, taskIdPrefix: prefix };
    await store.control.start({ operationId, kind, filter, createdBy: flow.accountId });
    signals.send(controlTopic, "");
    for (;;) {
      const progress = await store.control.operation(operationId);
      if (progress?.finishedAt !== undefined) {
        const seconds = (performance.now() - startedAt) / 1_000;
        const { matched, done, failed } = progress;
        console.log(
          JSON.stringify({ kind, matched, done, failed, seconds, rowsPerSecond: Math.round(done / seconds) }),
        );
        return;
      }
      await systemClock.sleep(50);
    }
  };

  console.log(`${taskCount} tasks of 256 bytes, ${cpus().length} cores, Node ${process.version}, with fsync`);
  await systemClock.sleep(3_000);
  for (const kind of kinds) {
    console.log(JSON.stringify({ submittedPerSecond: await submit(`${kind}-`) }));
    const cpu = process.cpuUsage();
    await work(kind, `${kind}-`);
    const used = process.cpuUsage(cpu);
    console.log(JSON.stringify({ schedulerMicrosPerTask: (used.user + used.system) / taskCount }));
  }
  // What has ended goes as well.
  if (kinds.includes("stop")) await work("delete", "stop-");
  stop.abort();
  await running;
}

function newTask(id: string, lane: number, queue: string): NewTask {
  return {
    ...flow,
    ...{ taskId: TaskId(id), queue, lane, priority: 2, payload: Buffer.alloc(256, 1) },
    ...{ delayMs: 0, expiresAfterMs: 86_400_000, submissionToken: "", tags: [] },
  };
}

const [, , count = "1000000", kind] = process.argv;
await main(Number(count), kind === "stop" || kind === "delete" ? [kind] : ["stop", "delete"]);
