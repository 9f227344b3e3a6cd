import { type Coordinator, createAdmissionFollower, createRouteFollower } from "@sluice/coordination";
import { assert, type Clock, laneCount, type Random, runAll, sharedQueues } from "@sluice/core";
import {
  AgentGatewayServiceService,
  type Api,
  ClusterServiceService,
  FunctionServiceService,
  OperationServiceService,
  TaskServiceService,
} from "@sluice/protocol";
import { accountTopic, changedTopic, functionTopic, type Signals, type TaskQueue } from "@sluice/queue";
import type { HttpApi, Logger } from "@sluice/runtime";
import type { Store } from "@sluice/store";
import type { Registry } from "prom-client";
import { createAuthenticate } from "./accounts/authenticate.ts";
import { createKnownKeys } from "./accounts/known-keys.ts";
import { createClusterApi } from "./cluster/cluster-api.ts";
import type { ApiServerConfig } from "./config.ts";
import { createAuthenticateHttp } from "./fc/authenticate.ts";
import { createFcApi } from "./fc/fc-api.ts";
import type { InspectZip } from "./functions/code.ts";
import { createFunctionApi } from "./functions/function-api.ts";
import { createCodeReader } from "./gateway/code-reader.ts";
import { createGatewayApi } from "./gateway/gateway-api.ts";
import { createLifeline } from "./gateway/lifeline.ts";
import { createRegistrations } from "./gateway/registrations.ts";
import { measured } from "./measured.ts";
import { apiServerMetrics } from "./metrics.ts";
import { createOperationApi } from "./operations/operation-api.ts";
import { createReadiness } from "./readiness.ts";
import { stoppingError } from "./stopping.ts";
import { createAnnouncer } from "./submit/announcer.ts";
import { createBudget } from "./submit/budget.ts";
import { createKnownAccounts } from "./submit/known-accounts.ts";
import { createKnownFunctions } from "./submit/known-functions.ts";
import { createRecorder } from "./submit/recorder.ts";
import { createRouting } from "./submit/routing/routing.ts";
import { createSubmit } from "./submit/submit.ts";
import { createSubmitApi } from "./submit/submit-api.ts";
import { createSubmitStream } from "./submit/submit-stream.ts";
import { createKnownTasks } from "./submit/throttle/known-tasks.ts";
import { createStreamGuard } from "./submit/throttle/stream-guard.ts";
import { createSubmitThrottle } from "./submit/throttle/throttle.ts";
import { createWaitingTasks } from "./submit/waiting-tasks.ts";
import { createTaskApi } from "./tasks/task-api.ts";
import { createWatches } from "./tasks/watches.ts";
import { within } from "./within.ts";

export interface ApiServerOptions {
  readonly config: ApiServerConfig;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly registry: Registry;
  readonly store: Store;
  readonly queue: TaskQueue;
  readonly signals: Signals;
  readonly coordinator: Coordinator;
  /** 32 bytes under which the secrets of access keys are encrypted. */
  readonly masterKey: Uint8Array;
  readonly inspectZip: InspectZip;
  /** The shared ones; default: all of them. */
  readonly queues?: readonly string[];
}

export interface ApiServer {
  readonly tasks: Api<typeof TaskServiceService>;
  readonly functions: Api<typeof FunctionServiceService>;
  readonly cluster: Api<typeof ClusterServiceService>;
  readonly operations: Api<typeof OperationServiceService>;
  readonly gateway: Api<typeof AgentGatewayServiceService>;
  /** Tasks over HTTP, as Function Compute has them. */
  readonly fc: HttpApi;
  /**
   * Announces, renews agents and hears hints until the signal aborts. Then new submissions and waiting calls end with
   * `SHUTTING_DOWN`, and it resolves when everything recorded was announced or left to the sweeper.
   */
  run(signal: AbortSignal): Promise<void>;
  /** Not ready any more, so that callers look for another one; it goes on answering those who come. */
  leave(): void;
  /** Whether it runs, its store answers, and it does not leave. */
  ready(): Promise<boolean>;
  /** Calls `listener` now and after every change of the readiness; returns how to stop. */
  watchReadiness(listener: (isReady: boolean) => void): () => void;
}

/** Submissions that may wait for room; each holds its message in memory. */
const admissionWaitersMax = 64;
/** How long the end waits for inserts in flight; their callers find out with their tokens. */
const drainMs = 10_000;

/** An api-server. Nothing happens before `run`, except that calls are answered. */
export function createApiServer(options: ApiServerOptions): ApiServer {
  const { config, clock, log, store, queue, signals, coordinator, masterKey } = options;
  assert(config.joinTokens.length > 0, "without a join token no agent could join");
  const metrics = apiServerMetrics(options.registry);
  const random = options.random.fork("api-server");
  const stop = new AbortController();
  const stopping = stop.signal;

  const lookUpKey = createKnownKeys({ ...config, store, clock, masterKey });
  const authenticate = createAuthenticate({ ...config, lookUpKey });
  const watches = createWatches({ clock, metrics, max: config.watchersMax });
  const known = createKnownFunctions({ store, clock, ageMsMax: config.functionCacheMs });
  const knownAccounts = createKnownAccounts({ store, clock, ageMsMax: config.functionCacheMs });
  const admission = createAdmissionFollower({ coordinator, clock, log });
  const routes = createRouteFollower({ coordinator, clock, log });
  const readiness = createReadiness({ store, clock, log, metrics });
  const announcer = createAnnouncer({ queue, clock, random, log, metrics, blocksMax: config.announceBlocksMax });
  const recorder = createRecorder({
    ...config,
    store,
    clock,
    metrics,
    firstLane: Math.floor(random.next() * laneCount),
    onRecorded: (group) => announcer.announce(group),
  });
  const waiting = createWaitingTasks({
    store,
    clock,
    max: config.waitingTasksMax,
    onFailure: (cause) => log.warn("cannot count waiting tasks", { cause }),
  });
  const throttle = createSubmitThrottle({
    clock,
    random,
    signals,
    metrics,
    admission,
    waitingOf: (accountId) => waiting.estimateOf(accountId),
    isOn: config.throttle,
    queueBacklogMax: config.queueBacklogMax,
    guard: createStreamGuard({
      random: random.fork("stream guard"),
      fullness: () => queue.fullness?.(),
      waitingOf: (accountId) => waiting.estimateOf(accountId),
      fullnessMax: config.queueFullnessMax,
    }),
  });
  const submit = createSubmit({
    config,
    clock,
    random,
    log,
    metrics,
    recorder,
    functions: known,
    accounts: knownAccounts,
    routing: createRouting({
      ...{ clock, metrics, routes, admission },
      queues: options.queues ?? sharedQueues(),
      shorterQueue: config.shorterQueue,
    }),
    throttle,
    knownTasks: createKnownTasks({ store, clock }),
    waiting,
    budget: createBudget({ clock, total: config.admissionBytesMax, waitersMax: admissionWaitersMax }),
    assertOpen() {
      if (stopping.aborted) throw stoppingError();
    },
  });
  const registrations = createRegistrations({
    store,
    coordinator,
    signals,
    log,
    metrics,
    keyTtlMs: config.agentKeyTtlMs,
  });
  const lifeline = createLifeline({
    store,
    coordinator,
    clock,
    log,
    metrics,
    windowMs: config.heartbeatWindowMs,
    keyTtlMs: config.agentKeyTtlMs,
  });

  const tasks: Api<typeof TaskServiceService> = {
    ...createSubmitApi({ authenticate, submit }),
    submitStream: createSubmitStream({ authenticate, submit, clock, config, stopping }),
    ...createTaskApi({ config, store, clock, log, signals, watches, authenticate, stopping }),
  };
  const functions = createFunctionApi({
    config,
    store,
    clock,
    log,
    signals,
    known,
    routes,
    authenticate,
    inspectZip: options.inspectZip,
  });
  const cluster = createClusterApi({ config, authenticate, coordinator, store, signals, clock, log, metrics });
  const operations = createOperationApi({ config, authenticate, store, signals, random, log });
  const gateway = createGatewayApi({
    joinTokens: config.joinTokens,
    store,
    log,
    watches,
    registrations,
    lifeline,
    codes: createCodeReader({ store, clock }),
  });

  function undrained(): void {
    log.warn("ended while inserts were in flight");
  }

  async function hear(signal: AbortSignal): Promise<void> {
    const silence = [
      signals.listen(changedTopic, (payload) => {
        for (const seq of payload.split(",")) watches.hint(Number(seq));
      }),
      signals.listen(functionTopic, (key) => known.forget(key)),
      signals.listen(accountTopic, (accountId) => knownAccounts.forget(accountId)),
    ];
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve(), { once: true });
    });
    for (const quiet of silence) quiet();
  }

  const measuredTasks = measured(TaskServiceService, tasks, { clock, log, metrics });
  const fcRandom = random.fork("fc");
  const fc = createFcApi({
    ...{ config, log, metrics, random: fcRandom, tasks: measuredTasks },
    authenticateHttp: createAuthenticateHttp({ ...config, clock, random: fcRandom, lookUpKey, authenticate }),
  });

  return {
    tasks: measuredTasks,
    fc,
    functions: measured(FunctionServiceService, functions, { clock, log, metrics }),
    cluster: measured(ClusterServiceService, cluster, { clock, log, metrics }),
    operations: measured(OperationServiceService, operations, { clock, log, metrics }),
    gateway: measured(AgentGatewayServiceService, gateway, { clock, log, metrics }),
    async run(signal) {
      assert(!stopping.aborted, "an api-server runs once");
      await runAll(
        signal,
        (ending) => readiness.run(ending),
        async (ending) => {
          if (ending.aborted) stop.abort();
          else ending.addEventListener("abort", () => stop.abort(), { once: true });
          await announcer.run(ending, () => within(clock, drainMs, recorder.idle(), undrained));
        },
        (ending) => lifeline.run(ending),
        (ending) => throttle.run(ending),
        (ending) => admission.run(ending),
        (ending) => routes.run(ending),
        hear,
      );
    },
    leave: () => readiness.leave(),
    ready: () => readiness.ready(),
    watchReadiness: (listener) => readiness.watch(listener),
  };
}
