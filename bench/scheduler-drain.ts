// What a scheduler costs per task: it drains a full queue, on PostgreSQL and NATS of its own, through an agent in another
// process that says at once that every attempt has ended. So the scheduler is the narrowest place, and its process is this
// one. Prints tasks per second, CPU per task, and how large its batches were.
//
//   node --import tsx bench/scheduler-drain.ts [tasks] [slots] [file for a CPU profile of the draining]
import { fork } from "node:child_process";
import { once, setMaxListeners } from "node:events";
import { writeFileSync } from "node:fs";
import { Session } from "node:inspector/promises";
import { cpus } from "node:os";
import { createMemoryCoordinator } from "@sluice/coordination/memory";
import { AccountId, createChannel, FunctionName, TaskId } from "@sluice/core";
import { AgentServiceService, addApi, apiClient, type FromAgent, OutcomeKind, type ToAgent } from "@sluice/protocol";
import { openNats } from "@sluice/queue/nats";
import { createLogger, grpcServer, systemClock, systemRandom } from "@sluice/runtime";
import { blocksOf, createScheduler, defaultSchedulerConfig } from "@sluice/scheduler";
import { type Announcement, defaultFlowSettings } from "@sluice/store";
import { openPostgres } from "@sluice/store/postgres";
import { startNats, startPostgres } from "@sluice/testbed";
import { Registry } from "prom-client";

const flow = { accountId: AccountId("bench"), functionName: FunctionName("noop") };

async function drain(taskCount: number, slots: number, profileFile: string | undefined): Promise<void> {
  setMaxListeners(0);
  const registry = new Registry();
  const log = createLogger({ service: "bench", level: "error" });
  const kit = { clock: systemClock, random: systemRandom, log, registry };
  await using postgres = await startPostgres();
  const [server] = await startNats();
  if (!server) throw new Error("no nats-server");
  await using _nats = server;
  await using store = await openPostgres({ url: postgres.url, ...kit });
  await using nats = openNats({ servers: [server.address], ...kit });
  while (!nats.health.isUp) await systemClock.sleep(20);

  const agent = fork(process.argv[1] ?? "", ["agent", String(slots)], { execArgv: ["--import", "tsx"] });
  const [address] = (await once(agent, "message")) as [string];
  await store.agents.register({ agentId: "a", address, slots, version: "1", registrationId: "a" });
  await store.functions.create(flow, settings, { sha256: "0".repeat(64), zip: new Uint8Array() });
  const submit = async (prefix: string, count: number) => {
    for (let start = 0; start < count; start += 1_000) {
      const tasks = Array.from({ length: Math.min(1_000, count - start) }, (_, n) => newTask(`${prefix}${start + n}`));
      const outcomes = await store.tasks.insert(tasks);
      const rows = outcomes.flatMap((outcome, n): Announcement[] => {
        const { lane = 0, priority = 2 } = tasks[n] ?? {};
        return outcome.kind === "inserted" ? [{ ...flow, ...outcome, lane, priority }] : [];
      });
      await nats.queue.publish(blocksOf("q0", rows));
    }
  };

  const stop = new AbortController();
  const scheduler = createScheduler({
    ...kit,
    config: { ...defaultSchedulerConfig, schedulerId: "s" },
    store,
    queue: nats.queue,
    signals: nats.signals,
    coordinator: createMemoryCoordinator({ clock: systemClock }),
    connectAgent: (to) => apiClient(AgentServiceService, to),
    queues: ["q0"],
  });
  const settled = async () => {
    const metric = await registry.getSingleMetric("sluice_scheduler_settled_writes_total")?.get();
    return metric?.values.reduce((sum, { value }) => sum + value, 0) ?? 0;
  };
  const until = async (count: number) => {
    while ((await settled()) < count) await systemClock.sleep(20);
  };

  const warmUp = 10_000;
  await submit("warm", warmUp);
  const running = scheduler.run(stop.signal);
  await until(warmUp);
  agent.send("pause");
  await submit("run", taskCount);
  const stopProfile = profileFile === undefined ? undefined : await startProfile(profileFile);
  const before = { at: performance.now(), cpu: process.cpuUsage() };
  agent.send("go on");
  await until(warmUp + taskCount);
  const cpu = process.cpuUsage(before.cpu);
  const seconds = (performance.now() - before.at) / 1_000;
  await stopProfile?.();
  const figures = {
    tasksPerSecond: Math.round(taskCount / seconds),
    cpuMicrosPerTask: Math.round((cpu.user + cpu.system) / taskCount),
    userMicrosPerTask: Math.round(cpu.user / taskCount),
    rowsPerRead: await rowsPer("read_tasks"),
    rowsPerWrite: await rowsPer("write_tasks"),
    rssMb: Math.round(process.memoryUsage().rss / 2 ** 20),
  };
  console.log(
    `${taskCount} tasks of 256 bytes, ${slots} slots, ${cpus().length} cores, Node ${process.version}, with fsync`,
  );
  console.log(JSON.stringify(figures));
  stop.abort();
  await running;
  agent.kill();

  async function rowsPer(statement: string): Promise<number> {
    const text = await registry.metrics();
    const count = new RegExp(`statement_duration_seconds_count\\{statement="${statement}"\\} (\\d+)`).exec(text)?.[1];
    return Math.round((warmUp + taskCount) / Number(count ?? Number.NaN));
  }
}

async function startProfile(file: string): Promise<() => Promise<void>> {
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  await session.post("Profiler.setSamplingInterval", { interval: 250 });
  await session.post("Profiler.start");
  return async () => writeFileSync(file, JSON.stringify((await session.post("Profiler.stop")).profile));
}

const settings = {
  runtime: "nodejs20",
  handler: "index.handler",
  description: "",
  timeoutMs: 60_000,
  memoryMb: 128,
  instanceConcurrency: 10,
  instancesMax: 1_000,
  environment: {},
  initializer: undefined,
  preStop: undefined,
  idleTimeoutMs: 60_000,
  maxAsyncRetryAttempts: 3,
  maxAsyncEventAgeInSeconds: 86_400,
  ...defaultFlowSettings,
};

function newTask(id: string) {
  return {
    ...flow,
    taskId: TaskId(id),
    queue: "q0",
    lane: 0,
    priority: 2 as const,
    payload: Buffer.alloc(256, 1),
    delayMs: 0,
    expiresAfterMs: 86_400_000,
    submissionToken: "",
    tags: [],
  };
}

/** Ends every attempt with the next turn of its event loop; paused, it is draining. */
async function serveAgent(slots: number): Promise<void> {
  let isPaused = false;
  process.on("disconnect", () => process.exit());
  const room = { slots, instancesMax: 1_000, slotsUsed: 0, slotsOffered: undefined, memoryMaxMb: 0, preemptible: [] };
  const status = () => ({ ...room, warmRevisions: [], draining: isPaused });
  const channels = new Set<ReturnType<typeof createChannel<FromAgent>>>();
  process.on("message", (message) => {
    isPaused = message === "pause";
    for (const channel of channels) channel.push({ frame: { $case: "status", value: status() } });
  });
  const answer = (out: ReturnType<typeof createChannel<FromAgent>>, { frame }: ToAgent): void => {
    if (frame?.$case === "attach") {
      const { session, incarnation } = frame.value;
      const value = { session, incarnation, refused: [], inventory: [], answersFlows: true, status: status() };
      out.push({ frame: { $case: "attached", value } });
    } else if (frame?.$case === "ping") {
      out.push({ frame: { $case: "status", value: status() } });
    } else if (frame?.$case === "dispatch") {
      const { session, attempts } = frame.value;
      const at = systemClock.now();
      const ended = attempts.map(({ seq, attempt, queue, lane }) => ({
        ref: { seq, attempt, queue, lane },
        outcome: { ...succeeded, endedAtMs: at },
        startedAtMs: at,
        instanceId: "i1",
      }));
      setImmediate(() => out.push({ frame: { $case: "ended", value: { session, attempts: ended } } }));
    }
  };
  const server = await grpcServer({ host: "127.0.0.1", port: 0 }, (services) =>
    addApi(services, AgentServiceService, {
      async *attach(frames) {
        const out = createChannel<FromAgent>(100_000);
        channels.add(out);
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
  kind: OutcomeKind.SUCCEEDED,
  result: Buffer.from('"ok"'),
  errorType: "",
  errorMessage: "",
  errorBody: Buffer.alloc(0),
  retryAfterMs: 0,
};

if (process.argv[2] === "agent") await serveAgent(Number(process.argv[3]));
else await drain(Number(process.argv[2] ?? 50_000), Number(process.argv[3] ?? 80), process.argv[4]);
