// All of Sluice in one process: the same services as in a cluster, on embedded drivers, joined by plain calls.
import { createAgentHost } from "@sluice/agent";
import { createApiServer, defaultApiServerConfig, readMasterKey, serveApi } from "@sluice/api-server";
import { parseAddress } from "@sluice/api-server/settings";
import { createMemoryCoordinator } from "@sluice/coordination/memory";
import { AppError, laneCount, laneCountOf, runAll, sharedQueues } from "@sluice/core";
import { AgentServiceService, apiClient, joinTokenHeaders } from "@sluice/protocol";
import { createMemoryQueue, createMemorySignals } from "@sluice/queue/memory";
import {
  grpcServer,
  httpApiServer,
  httpServer,
  inspectZip,
  type Logger,
  processMetrics,
  systemClock,
  systemRandom,
} from "@sluice/runtime";
import { createScheduler, defaultSchedulerConfig } from "@sluice/scheduler";
import { throttleOf } from "@sluice/scheduler/settings";
import { Registry } from "prom-client";
import { type ClientProfile, ensureAccessKey, type FirstKey } from "./credentials.ts";
import { writePrivate } from "./data-dir.ts";
import type { OpenedFolder } from "./open-folder.ts";
import { rebuildQueue } from "./rebuild-queue.ts";
import type { StandaloneConfig } from "./settings.ts";

export interface StandaloneDeps {
  readonly config: StandaloneConfig;
  /** Opened before: a database that starts while the services are being loaded saves a quarter of a restart. */
  readonly opened: OpenedFolder;
  readonly log: Logger;
  /** Of this process. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** What a user of a running instance needs to know. */
export interface Serving {
  readonly profile: ClientProfile;
  readonly httpUrl: string;
  /** Of the HTTP API; undefined: it is not served. */
  readonly fcUrl: string | undefined;
  readonly dataDir: string;
  /** Undefined with `--auth none`. */
  readonly key: FirstKey | undefined;
}

/** The embedded agent is reached by a call, not by an address. */
const agentAddress = "embedded:1";

/** Serves until the signal aborts; `onServing` is called once it is ready for work. */
export async function runStandalone(
  deps: StandaloneDeps,
  signal: AbortSignal,
  onServing: (serving: Serving) => void,
): Promise<void> {
  const { config, log } = deps;
  const queueNames = sharedQueues();
  const [clock, random, registry] = [systemClock, systemRandom, new Registry()];
  processMetrics(registry);
  const { dataDir } = deps.opened;
  const { agentId, joinToken } = dataDir.agentIdentity;
  const store = await deps.opened.store;
  await using queue = createMemoryQueue({ clock });
  await using signals = createMemorySignals();
  await using coordinator = createMemoryCoordinator({ clock });
  const masterKey = await readMasterKey({ value: config.masterKey, file: dataDir.masterKeyFile });
  const key = config.auth === "keys" ? await ensureAccessKey(store, masterKey, config, dataDir.clientFile) : undefined;

  const apiServer = createApiServer({
    config: {
      ...defaultApiServerConfig,
      auth: config.auth,
      joinTokens: [joinToken],
      payloadBytesMax: config.payloadBytesMax,
      waitingTasksMax: config.waitingTasksMax,
      queueBacklogMax: config.queueBacklogMax,
      throttle: config.throttle,
      // There is one agent to collect heartbeats of, and it takes no work before its first one is answered.
      heartbeatWindowMs: 10,
    },
    clock,
    random: random.fork("api-server"),
    log: log.child({ component: "api-server" }),
    store,
    queue,
    signals,
    coordinator,
    registry,
    masterKey,
    inspectZip,
  });
  const agentHost = createAgentHost({
    agentId,
    joinToken,
    address: agentAddress,
    folder: dataDir.agent,
    slots: config.slots,
    instancesMax: config.instancesMax,
    memoryMaxMb: config.memoryMaxMb,
    codeCacheBytes: config.codeCacheBytes,
    codeBytesMax: defaultApiServerConfig.codeBytesMax,
    drainMs: config.drainMs,
    clock,
    random,
    log: log.child({ component: "agent" }),
    registry,
    gateway: apiServer.gateway,
    environment: deps.environment,
  });
  const headers = joinTokenHeaders([joinToken]);
  const scheduler = createScheduler({
    config: { ...defaultSchedulerConfig, schedulerId: `scheduler-${random.hex(4)}`, retentionMs: config.retentionMs },
    clock,
    random: random.fork("scheduler"),
    log: log.child({ component: "scheduler" }),
    registry,
    store,
    queue,
    signals,
    coordinator,
    queues: queueNames,
    balancer: throttleOf(config),
    connectAgent(address) {
      if (address !== agentAddress) return apiClient(AgentServiceService, address, { headers });
      const { agent } = agentHost;
      if (!agent) throw new AppError("unavailable", "AGENT_STARTING", "the agent has no incarnation yet");
      return { api: agent.api, close: () => undefined };
    },
  });

  const lanesOwned = () => scheduler.partitions.reduce((sum, { owner }) => sum + laneCountOf(owner.prefix), 0);
  const isReady = () => lanesOwned() === queueNames.length * laneCount && agentHost.agent?.isReady === true;
  await using http = await httpServer({
    address: config.httpHost,
    port: config.httpPort,
    registry,
    health: { store: () => store.ping().then(() => true), dispatch: isReady },
  });
  await using grpc = await grpcServer({ host: config.grpcHost, port: config.grpcPort }, (server) =>
    serveApi(server, apiServer, { reflection: true }),
  );
  const fcAt = parseAddress(config.fcAddress);
  await using fc = fcAt ? await httpApiServer(fcAt, apiServer.fc) : undefined;
  const profile: ClientProfile = {
    address: `${config.grpcHost}:${grpc.port}`,
    ...(key && { accessKeyId: key.accessKeyId, accessKeySecret: key.accessKeySecret }),
  };
  writePrivate(dataDir.clientFile, profile);

  await runInOrder(signal, {
    // Stopped first: an agent hands back what it runs, and somebody must still settle it.
    first: (stop) => agentHost.run(stop),
    second: (stop) =>
      runAll(
        stop,
        (inner) => scheduler.run(inner),
        async (inner) => void (await rebuildQueue({ store, queue }, queueNames, inner)),
        async (inner) => {
          while (!inner.aborted && !isReady()) await clock.sleep(10, inner);
          if (!inner.aborted) onServing({ profile, httpUrl: http.url, fcUrl: fc?.url, dataDir: dataDir.path, key });
        },
      ),
    last: (stop) => apiServer.run(stop),
  });
}

type Part = (signal: AbortSignal) => Promise<void>;

/** Runs three parts together and stops them one after the other. The first failure stops all. */
async function runInOrder(
  signal: AbortSignal,
  parts: { readonly first: Part; readonly second: Part; readonly last: Part },
): Promise<void> {
  const [failed, firstEnded, secondEnded] = [new AbortController(), new AbortController(), new AbortController()];
  const run = async (part: Part, stop: AbortSignal, ended?: AbortController) => {
    try {
      await part(AbortSignal.any([stop, failed.signal]));
    } catch (cause) {
      failed.abort(cause);
    } finally {
      ended?.abort();
    }
  };
  await Promise.all([
    run(parts.first, signal, firstEnded),
    run(parts.second, firstEnded.signal, secondEnded),
    run(parts.last, secondEnded.signal),
  ]);
  if (failed.signal.aborted) throw failed.signal.reason;
}
