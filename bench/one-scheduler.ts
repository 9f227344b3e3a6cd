// One scheduler that owns everything, with the queue in memory and no agent: for what is done to tasks that wait.
import { setMaxListeners } from "node:events";
import { createMemoryCoordinator } from "@sluice/coordination/memory";
import { AccountId, FunctionName, TaskId } from "@sluice/core";
import { controlTopic } from "@sluice/queue";
import { createMemoryQueue, createMemorySignals } from "@sluice/queue/memory";
import { createLogger, systemClock, systemRandom } from "@sluice/runtime";
import { blocksOf, createScheduler, defaultSchedulerConfig } from "@sluice/scheduler";
import type { Announcement, NewTask, Store } from "@sluice/store";
import { Registry } from "prom-client";

export const flow = { accountId: AccountId("bench"), functionName: FunctionName("noop") };
const queues = ["q0", "q1"] as const;
const together = 1_000;

export const kit = {
  clock: systemClock,
  random: systemRandom,
  log: createLogger({ service: "bench", level: "error" }),
  registry: new Registry(),
};

export interface OneScheduler extends AsyncDisposable {
  /** Announces `count` tasks of 256 bytes, `prefix0` and on, in all lanes of both queues. Returns how many per second. */
  submit(prefix: string, count: number, expiresAfterMs: () => number): Promise<number>;
  /** Tasks that it has ended as `status` since it was started. */
  settled(status: string): Promise<number>;
  /** Has operations that were started be looked for at once. */
  hint(): void;
}

export async function startOneScheduler(store: Store): Promise<OneScheduler> {
  setMaxListeners(0);
  const registry = new Registry();
  const queue = createMemoryQueue({ clock: systemClock });
  const signals = createMemorySignals();
  const stop = new AbortController();
  const scheduler = createScheduler({
    ...{ ...kit, registry, store, queue, signals, queues },
    config: { ...defaultSchedulerConfig, schedulerId: "s" },
    coordinator: createMemoryCoordinator({ clock: systemClock }),
    connectAgent: () => {
      throw new Error("there is no agent");
    },
  });
  const running = scheduler.run(stop.signal);
  // Until it owns its partitions.
  await systemClock.sleep(3_000);

  return {
    async submit(prefix, count, expiresAfterMs) {
      const startedAt = performance.now();
      for (let start = 0, lane = 0; start < count; start += together, lane = (lane + 1) % 32) {
        const at = { lane, queue: queues[(start / together) % queues.length] ?? "q0", priority: 2 as const };
        const tasks = Array.from({ length: Math.min(together, count - start) }, (_, n): NewTask => {
          const taskId = TaskId(`${prefix}${start + n}`);
          const options = { delayMs: 0, expiresAfterMs: expiresAfterMs(), submissionToken: "", tags: [] };
          return { ...flow, ...at, ...options, taskId, payload: Buffer.alloc(256, 1) };
        });
        const outcomes = await store.tasks.insert(tasks);
        const rows = outcomes.flatMap((outcome): Announcement[] =>
          outcome.kind === "inserted" ? [{ ...flow, ...outcome, ...at }] : [],
        );
        await queue.publish(blocksOf(at.queue, rows));
      }
      return Math.round(count / ((performance.now() - startedAt) / 1_000));
    },
    async settled(status) {
      const metric = await registry.getSingleMetric("sluice_scheduler_settled_writes_total")?.get();
      const mine = (metric?.values ?? []).filter(({ labels: { status: its } }) => its === status);
      return mine.reduce((sum, { value }) => sum + value, 0);
    },
    hint: () => signals.send(controlTopic, ""),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
      await signals[Symbol.asyncDispose]();
      await queue[Symbol.asyncDispose]();
    },
  };
}
