// Wires the loops of a scheduler.
import { type Coordinator, createMembership, createRouteFollower, withDeadlines } from "@sluice/coordination";
import { type Clock, partitionKey, type Random, runAll } from "@sluice/core";
import { createLoadBalancer, type LoadBalancerConfig } from "@sluice/load-balancer";
import type { Signals, TaskQueue } from "@sluice/queue";
import type { Logger } from "@sluice/runtime";
import type { Store } from "@sluice/store";
import type { Registry } from "prom-client";
import { createAgentDirectory } from "./agents/directory.ts";
import type { AgentLink, AgentLinkDeps } from "./agents/link.ts";
import { createPace } from "./agents/pace.ts";
import { createShards } from "./agents/shards.ts";
import { createBatchControl } from "./batch-control.ts";
import { createBusyMeter } from "./busy-meter.ts";
import type { SchedulerConfig } from "./config.ts";
import { finishOperationsLoop } from "./finish-operations.ts";
import { createFlowMeter } from "./flow-meter.ts";
import { createAccountCache, createFunctionCache, createReservedCache } from "./functions.ts";
import { knownRoutes } from "./known-routes.ts";
import { schedulerMetrics } from "./metrics.ts";
import { createOwnPartitions } from "./own-partitions.ts";
import { createLookAhead } from "./partition/look-ahead.ts";
import type { Partition } from "./partition/partition.ts";
import { purgeUnownedLoop } from "./purge-unowned.ts";
import { reportLoadsLoop } from "./report-loads.ts";
import { reportSlotsLoop } from "./report-slots.ts";
import { createStoreClock } from "./store-clock.ts";

export interface SchedulerDeps {
  readonly config: SchedulerConfig;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly registry: Registry;
  readonly store: Store;
  readonly queue: TaskQueue;
  readonly signals: Signals;
  readonly coordinator: Coordinator;
  /** Reaches an agent at its address. */
  readonly connectAgent: AgentLinkDeps["connect"];
  /** Every queue; the load-balancer spreads their partitions. */
  readonly queues: readonly string[];
  /** Of the load-balancer, where it differs from the defaults. */
  readonly balancer?: Partial<LoadBalancerConfig>;
  /** For how long its thread has been at work, in ms; only grows. Default: it does not say how busy it is. */
  readonly workedMs?: () => number;
}

/** An agent answers every two seconds. */
const calmMs = 5_000;

export interface Scheduler {
  readonly id: string;
  readonly partitions: readonly Partition[];
  /** Keys of the partitions that it is wished to own; undefined: it has seen no wishes yet. */
  readonly wished: readonly string[] | undefined;
  /** Whether its lease may be acted on. */
  readonly isTrusted: boolean;
  /** Agents to which every partition of it is attached. */
  readonly attachedAgents: number;
  /** Owns and dispatches until the signal aborts; then hands its partitions off and leaves the cluster. */
  run(signal: AbortSignal): Promise<void>;
}

export function createScheduler(deps: SchedulerDeps): Scheduler {
  const { config, clock, random, log, store, queue, signals, workedMs } = deps;
  // A call that never answers must not hold up the loop that gives partitions back.
  const coordinator = withDeadlines(deps.coordinator, { clock, deadlineMs: config.lease.renewDeadlineMs });
  const id = config.schedulerId;
  const metrics = schedulerMetrics(deps.registry);
  const info = JSON.stringify({ capacity: config.capacity });
  const membership = createMembership({ coordinator, clock, id, info, profile: config.lease });
  const balancer = createLoadBalancer({
    coordinator,
    membership,
    signals,
    clock,
    random: random.fork("load-balancer"),
    log,
    registry: deps.registry,
    queues: deps.queues,
    isCalm: () => agents.links.every(({ lastHeardAt }) => clock.monotonic() - lastHeardAt < calmMs),
    queuesInUse: () => store.lanes.queuesInUse(),
    cleanUp: async (isGone) => await queue.retire?.(isGone),
    weights: async (ids) =>
      new Map(
        [...(await accounts.read(ids)).values()].flatMap((known) =>
          known ? [[known.accountId, known.settings.weight]] : [],
        ),
      ),
    ...(deps.balancer && { config: deps.balancer }),
  });
  const functions = createFunctionCache({ clock, store, signals });
  const accounts = createAccountCache({ clock, store, signals });
  const reserved = createReservedCache({ clock, store, signals });
  const routes = createRouteFollower({ coordinator, clock, log });
  const flowMeter = createFlowMeter({ clock, accounts, isRouted: (flow) => routes.routeOf(flow) !== undefined });
  const batchControl = createBatchControl({ clock, log, store, signals });
  const agents = createAgentDirectory({
    ...config,
    clock,
    random: random.fork("agents"),
    log,
    store,
    coordinator,
    signals,
    connect: deps.connectAgent,
    onFenced: () => metrics.fenced.inc(),
  });
  const busyMeter = workedMs && createBusyMeter(clock, workedMs);
  const measureBusy = () => {
    const share = busyMeter?.measure();
    metrics.busyShare.set(share ?? 0);
    return share;
  };
  const isTrusted = () => membership.isTrusted();
  const storeClock = createStoreClock({ clock, store });
  const partitionRandom = random.fork("partitions");
  const own = createOwnPartitions({
    config,
    clock,
    log,
    metrics,
    store,
    queue,
    coordinator,
    membership,
    agents,
    partitionDeps: {
      config,
      clock: storeClock.clock,
      random: partitionRandom,
      log,
      metrics,
      store,
      queue,
      signals,
      functions,
      accounts,
      reserved,
      routes: knownRoutes(routes),
      followedRoutes: routes,
      flowMeter,
      queues: deps.queues,
      pace: createPace(),
      shards: createShards({
        clock,
        links: () => agents.links,
        onChange: (kind) => metrics.shardChanges.inc({ kind }),
      }),
      batchControl,
      agents,
      lookAhead: createLookAhead({ tasksMax: config.lookAheadTasksMax, bytesMax: config.lookAheadBytesMax }),
      isTrusted,
    },
  });
  return {
    id,
    get partitions() {
      return own.owned;
    },
    get wished() {
      return own.wished;
    },
    get isTrusted() {
      return isTrusted();
    },
    get attachedAgents() {
      const isAttached = (link: AgentLink) => own.owned.every(({ owner }) => link.isAttached(partitionKey(owner)));
      return agents.links.filter(isAttached).length;
    },
    async run(signal) {
      // The others outlive the partitions: a hand-off still settles, and releases claims under a live lease; and a leader that
      // leaves wishes its own partitions to others before it stops leading.
      const after = new AbortController();
      const owning = async (stop: AbortSignal) => {
        try {
          const ending = AbortSignal.any([signal, stop]);
          // Rows say in the store's time when they are due and when they expire: nobody owns any before it is known.
          await storeClock.known(ending);
          await own.run(ending);
        } finally {
          after.abort();
        }
      };
      const others = runAll(
        after.signal,
        (stop) => agents.run(stop),
        (stop) => membership.run(stop),
        (stop) => functions.run(stop),
        (stop) => batchControl.run(stop),
        (stop) => accounts.run(stop),
        (stop) => reserved.run(stop),
        (stop) => routes.run(stop),
        (stop) => storeClock.run(stop),
        (stop) => balancer.run(stop),
        reportSlotsLoop({
          ...{ clock, log, metrics, coordinator, membership },
          demands: () => own.owned.map((partition) => partition.demand()),
          isLeading: () => balancer.isLeading,
          links: () => agents.links,
        }),
        finishOperationsLoop({
          ...{ clock, log, store, signals, batchControl },
          isLeading: () => balancer.isLeading,
        }),
        purgeUnownedLoop({
          ...{ config, clock: storeClock.clock, log, coordinator, store },
          isLeading: () => balancer.isLeading,
        }),
        reportLoadsLoop({
          ...{ clock, log, coordinator, membership },
          partitions: () => own.owned,
          flows: () => flowMeter.measure(waitingFlows(own.owned)),
          busy: measureBusy,
        }),
      );
      const failed = new AbortController();
      const fail = (cause: unknown) => {
        failed.abort(cause);
        throw cause;
      };
      await Promise.all([others.catch(fail), owning(failed.signal)]);
    },
  };
}

function* waitingFlows(partitions: readonly Partition[]) {
  for (const partition of partitions) yield* partition.flows();
}
