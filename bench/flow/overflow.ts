// What a backlog of one account does to the next tasks of another in the same queue, on PostgreSQL and NATS of its own, with one
// owner of the whole queue: submitted in bulk, or one by one; with parking and without (the same code, whose overflow finds
// nothing to do). The agent, in a process of its own, keeps each attempt for some ms.
//
//   node --import tsx bench/flow/overflow.ts [bulk] [one by one …]
//   node --import tsx bench/flow/overflow.ts 1000000 100000 300000
import { fork } from "node:child_process";
import { once, setMaxListeners } from "node:events";
import { cpus } from "node:os";
import { createMemoryCoordinator } from "@sluice/coordination/memory";
import { AccountId, createChannel, type Flow, FunctionName, TaskId } from "@sluice/core";
import { AgentServiceService, addApi, apiClient, type FromAgent, OutcomeKind, type ToAgent } from "@sluice/protocol";
import { changedTopic } from "@sluice/queue";
import { openNats } from "@sluice/queue/nats";
import { createLogger, grpcServer, systemClock, systemRandom } from "@sluice/runtime";
import { blocksOf, createScheduler, defaultSchedulerConfig } from "@sluice/scheduler";
import { type Announcement, defaultFlowSettings, type Store } from "@sluice/store";
import { openPostgres } from "@sluice/store/postgres";
import { startNats, startPostgres } from "@sluice/testbed";
import Table from "cli-table3";
import { Registry } from "prom-client";

const functionName = FunctionName("noop");
const noisy: Flow = { accountId: AccountId("noisy"), functionName };
const quiet: Flow = { accountId: AccountId("quiet"), functionName };
const slots = 10;
const runMs = 5;
/** Tasks of the other account, one after the other. */
const probes = 20;

interface Scenario {
  readonly tasks: number;
  /** Tasks of a group commit, which share a block. */
  readonly together: 1 | 256;
  readonly parks: boolean;
}

async function run({ tasks, together, parks }: Scenario) {
  const registry = new Registry();
  const log = createLogger({ service: "bench", level: "error" });
  const kit = { clock: systemClock, random: systemRandom, log, registry };
  await using postgres = await startPostgres();
  const [server] = await startNats();
  if (!server) throw new Error("no nats-server");
  await using _server = server;
  await using store = await openPostgres({ url: postgres.url, ...kit });
  await using nats = openNats({ servers: [server.address], ...kit });
  while (!nats.health.isUp) await systemClock.sleep(20);
  const agent = fork(process.argv[1] ?? "", ["agent"], { execArgv: ["--import", "tsx"] });
  const [address] = (await once(agent, "message")) as [string];
  await store.agents.register({ agentId: "a", address, slots, version: "1", registrationId: "a" });
  for (const flow of [noisy, quiet]) {
    await store.functions.create(flow, settings, { sha256: "0".repeat(64), zip: new Uint8Array() });
  }
  const stop = new AbortController();
  const scheduler = createScheduler({
    ...kit,
    config: { ...defaultSchedulerConfig, schedulerId: "s" },
    store: parks ? store : withoutParking(store),
    queue: parks ? nats.queue : { ...plain(nats.queue) },
    signals: nats.signals,
    coordinator: createMemoryCoordinator({ clock: systemClock }),
    connectAgent: (to) => apiClient(AgentServiceService, to),
    queues: ["q0"],
  });
  const running = scheduler.run(stop.signal);
  while (scheduler.partitions.length === 0) await systemClock.sleep(20);

  async function submit(flow: Flow, name: string, count: number, blockSize: number): Promise<number[]> {
    const seqs: number[] = [];
    for (let start = 0; start < count; start += 1_000) {
      const size = Math.min(1_000, count - start);
      const drafts = Array.from({ length: size }, (_, at) =>
        newTask(flow, `${name}${start + at}`, (((start + at) / blockSize) % 32) | 0),
      );
      const outcomes = await store.tasks.insert(drafts);
      const rows = outcomes.flatMap((outcome, at): Announcement[] => {
        const { lane = 0, priority = 2 } = drafts[at] ?? {};
        return outcome.kind === "inserted" ? [{ ...flow, ...outcome, lane, priority }] : [];
      });
      seqs.push(...rows.map(({ seq }) => seq));
      const blocks = blockSize === 1 ? rows.flatMap((row) => blocksOf("q0", [row])) : blocksOf("q0", rows);
      await nats.queue.publish(blocks);
    }
    return seqs;
  }
  /** From its submission until it is known to have ended. */
  async function delayOf(probe: number): Promise<number> {
    const ended = new Set<number>();
    const stopListening = nats.signals.listen(changedTopic, (text) => {
      for (const seq of text.split(",")) ended.add(Number(seq));
    });
    const startedAt = performance.now();
    const [seq = 0] = await submit(quiet, `probe${probe}`, 1, 1);
    while (!ended.has(seq) && performance.now() - startedAt < patienceMs) await systemClock.sleep(2);
    stopListening();
    return Math.round(performance.now() - startedAt);
  }

  const alone: number[] = [];
  for (let probe = 0; probe < 5; probe++) alone.push(await delayOf(-probe - 1));
  const startedAt = performance.now();
  await submit(noisy, "noisy", tasks, together);
  const submittedPerSecond = Math.round(tasks / ((performance.now() - startedAt) / 1_000));
  const delays: number[] = [];
  for (let probe = 0; probe < probes; probe++) {
    delays.push(await delayOf(probe));
    if ((delays.at(-1) ?? 0) >= patienceMs) break;
    await systemClock.sleep(250);
  }
  const parked = await countOf(registry, "sluice_scheduler_overflowed_tasks_total");
  stop.abort();
  await running;
  agent.kill();
  delays.sort((a, b) => a - b);
  const figures = {
    ...{ tasks, together, parks, submittedPerSecond, parked, aloneMs: Math.max(...alone) },
    ...{ medianMs: delays[delays.length >> 1] ?? 0, maxMs: delays.at(-1) ?? 0 },
    rssMb: Math.round(process.memoryUsage().rss / 2 ** 20),
  };
  console.log(JSON.stringify(figures));
  return figures;
}

/** A probe that waits longer has waited long enough to know. */
const patienceMs = 30_000;

/** As if the owner did not know how to park: what does not fit stays in the queue. */
function withoutParking(store: Store): Store {
  return { ...store, lanes: { ...store.lanes, parkOverflow: async () => [] } };
}
function plain(queue: ReturnType<typeof openNats>["queue"]): ReturnType<typeof openNats>["queue"] {
  return {
    ...(queue.health && { health: queue.health }),
    publish: (blocks) => queue.publish(blocks),
    open: (options) => queue.open(options),
    [Symbol.asyncDispose]: async () => {},
  };
}

async function countOf(registry: Registry, name: string): Promise<number> {
  const values = (await registry.getSingleMetric(name)?.get())?.values ?? [];
  return values.reduce((sum, { value }) => sum + value, 0);
}

const settings = {
  ...{ runtime: "nodejs20", handler: "index.handler", description: "", timeoutMs: 60_000, memoryMb: 128 },
  ...{ instanceConcurrency: 10, instancesMax: 1_000, environment: {}, initializer: undefined, preStop: undefined },
  ...{ idleTimeoutMs: 60_000, maxAsyncRetryAttempts: 3, maxAsyncEventAgeInSeconds: 86_400, ...defaultFlowSettings },
};

function newTask(flow: Flow, id: string, lane: number) {
  return {
    ...{
      ...flow,
      taskId: TaskId(id.replace("-", "_")),
      queue: "q0",
      lane,
      priority: 2 as const,
      payload: Buffer.alloc(256, 1),
    },
    ...{ delayMs: 0, expiresAfterMs: 86_400_000, submissionToken: "", tags: [] },
  };
}

/** Ends every attempt after `runMs`. */
async function serveAgent(): Promise<void> {
  process.on("disconnect", () => process.exit());
  const status = () => ({
    ...{
      slots,
      instancesMax: 1_000,
      slotsUsed: 0,
      warmRevisions: [],
      preemptible: [],
      draining: false,
      memoryMaxMb: 100_000,
      memoryUsedMb: 0,
    },
  });
  const answer = (out: ReturnType<typeof createChannel<FromAgent>>, { frame }: ToAgent): void => {
    if (frame?.$case === "attach") {
      const { session, incarnation } = frame.value;
      const value = { session, incarnation, refused: [], inventory: [], status: status() };
      out.push({ frame: { $case: "attached", value } } as unknown as FromAgent);
    } else if (frame?.$case === "ping") {
      out.push({ frame: { $case: "status", value: status() } } as unknown as FromAgent);
    } else if (frame?.$case === "dispatch") {
      const { session, attempts } = frame.value;
      const startedAtMs = systemClock.now();
      setTimeout(() => {
        const outcome = { ...succeeded, endedAtMs: systemClock.now() };
        const ended = attempts.map(({ seq, attempt, queue, lane }) => ({
          ref: { seq, attempt, queue, lane },
          ...{ outcome, startedAtMs, instanceId: "i1" },
        }));
        out.push({ frame: { $case: "ended", value: { session, attempts: ended } } });
      }, runMs);
    }
  };
  const server = await grpcServer({ host: "127.0.0.1", port: 0 }, (services) =>
    addApi(services, AgentServiceService, {
      async *attach(frames) {
        const out = createChannel<FromAgent>(100_000);
        void (async () => {
          for await (const frame of frames) answer(out, frame);
          out.close();
        })();
        yield* out;
      },
    }),
  );
  process.send?.(server.address);
}

const succeeded = {
  ...{ kind: OutcomeKind.SUCCEEDED, result: Buffer.from('"ok"'), errorType: "", errorMessage: "" },
  ...{ errorBody: Buffer.alloc(0), retryAfterMs: 0 },
};

async function main(): Promise<void> {
  setMaxListeners(0);
  const [bulk = 1_000_000, ...singles] = process.argv.slice(2).map(Number);
  console.log(
    `${slots} slots, ${runMs} ms an attempt, 256 bytes, ${cpus().length} cores, Node ${process.version}, with fsync`,
  );
  const table = new Table({
    head: ["backlog", "submitted", "parking", "parked", "alone, ms", "median, ms", "longest, ms", "RSS, MB"],
    style: { head: [], border: [] },
  });
  const sizes = [
    ...(bulk > 0 ? [{ tasks: bulk, together: 256 as const }] : []),
    ...singles.map((tasks) => ({ tasks, together: 1 as const })),
  ];
  for (const size of sizes) {
    for (const parks of [false, true]) {
      const { tasks, together, parked, aloneMs, medianMs, maxMs, rssMb } = await run({ ...size, parks });
      const how = together === 1 ? "one by one" : "in bulk";
      table.push([
        tasks,
        how,
        parks ? "yes" : "no",
        parked,
        aloneMs,
        medianMs,
        maxMs >= patienceMs ? `> ${patienceMs}` : maxMs,
        rssMb,
      ]);
    }
  }
  console.log(table.toString());
}

if (process.argv[2] === "agent") await serveAgent();
else await main();
