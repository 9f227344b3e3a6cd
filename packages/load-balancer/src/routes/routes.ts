// A part of the leader's round: gives flows queues of their own, and takes them back. See `decide-routes.ts`.
//
// A queue is wished before its route is opened, and its wish goes with its route. What an api-server writes to it later, because
// it stood still or went by an old list, is not lost: a queue that has rows, and no wish, is wished again.
import {
  type ClusterEvent,
  type Condition,
  type Coordinator,
  claimsPrefix,
  deleteRoute,
  eventWrites,
  type FlowRoute,
  type LoadReport,
  readRoutes,
  type Wish,
  wishKey,
  writeRoute,
} from "@sluice/coordination";
import { type Clock, flowKey, isDedicatedQueue, laneCount, laneCountOf, parsePartitionKey } from "@sluice/core";
import type { Logger } from "@sluice/runtime";
import type { EventBook } from "../events.ts";
import type { LoadBalancerMetrics } from "../metrics.ts";
import { decideRoutes, noRouteMemory, type RouteMemory, type RoutesConfig, sumOfFlows } from "./decide-routes.ts";

export interface RoutesOptions {
  readonly coordinator: Coordinator;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: LoadBalancerMetrics;
  readonly events: Pick<EventBook, "count">;
  readonly config: RoutesConfig;
  /** Queues that have rows which are not final. Undefined: nobody can tell, so no queue is ever given up. */
  readonly queuesInUse: (() => Promise<readonly string[]>) | undefined;
  /** Removes what owners have left of queues that nobody owns any more. */
  readonly cleanUp: ((isGone: (queue: string) => boolean) => Promise<void>) | undefined;
}

export interface Routes {
  /** Queues that need a wish because a flow has them, or because there are rows in them. */
  read(): Promise<ReadRoutes>;
  /** Writes what is decided. */
  round(input: RoutesRound): Promise<void>;
  /** Of the rounds that it led. */
  forget(): void;
}

export interface ReadRoutes {
  readonly routes: readonly FlowRoute[];
  readonly queues: readonly string[];
}

export interface RoutesRound {
  readonly routes: readonly FlowRoute[];
  readonly reports: readonly LoadReport[];
  readonly wishes: readonly Wish[];
  readonly leadership: Condition;
}

/** How often the store is asked which queues have rows: a few steps of two indexes for each queue that there ever was. */
const usedEveryMs = 5_000;

/** How often it is looked for what crashes have left of queues that were given up. */
const cleanUpEveryMs = 20_000;

export function createRoutes(options: RoutesOptions): Routes {
  const { coordinator, clock, log, metrics, config } = options;
  let memory: RouteMemory = noRouteMemory;
  let used: ReadonlySet<string> | undefined;
  let askedAt = Number.NEGATIVE_INFINITY;
  let cleanedAt = Number.NEGATIVE_INFINITY;

  async function askForUsed(): Promise<void> {
    if (options.queuesInUse === undefined || clock.monotonic() - askedAt < usedEveryMs) return;
    askedAt = clock.monotonic();
    try {
      used = new Set(await options.queuesInUse());
    } catch (cause) {
      used = undefined;
      log.debug("cannot ask which queues are in use", { cause: String(cause) });
    }
  }

  async function change(route: FlowRoute, { leadership, reports, routes }: RoutesRound): Promise<void> {
    const { accountId, functionName, queue, state, reason } = route;
    // Only what happens in the queue is noted: nothing that anybody has to know.
    const isNote = routes.some((known) => flowKey(known) === flowKey(route) && known.state === state);
    const events = isNote ? [] : [eventOf(route, reports)];
    if (!(await writeRoute(coordinator, route, [leadership], eventWrites(events))) || isNote) return;
    options.events.count(events);
    metrics.routeChanges.inc({ state });
    log.info("changed a route", { accountId, functionName, queue, state, reason });
  }

  async function end(route: FlowRoute, { leadership, reports }: RoutesRound): Promise<void> {
    const event = { ...eventOf(route, reports), kind: "route ended" as const, reason: "empty" };
    if (!(await deleteRoute(coordinator, route, [leadership], eventWrites([event])))) return;
    options.events.count([event]);
    const { accountId, functionName, queue } = route;
    metrics.routeChanges.inc({ state: "ended" });
    log.info("ended a route", { accountId, functionName, queue });
  }

  /** Of a route that comes into its state. */
  function eventOf(route: FlowRoute, reports: readonly LoadReport[]): ClusterEvent {
    const { state, reason } = route;
    const load = sumOfFlows(reports).get(flowKey(route));
    const foldedBecause = load?.asksFor === "nothing" ? "asks no more" : "idle";
    const figures = { waiting: load?.waiting ?? 0, dispatchedPerSecond: load?.dispatchedPerSecond ?? 0 };
    return {
      ...{ at: clock.now(), kind: `route ${state}` as const, figures, flow: flowKey(route) },
      reason: state === "folding" ? foldedBecause : state === "open" ? "owned" : reason,
      ...{ queue: route.queue, prefix: "", from: "", to: "" },
    };
  }

  async function giveUp({ queue, modRevision }: Wish, leadership: Condition): Promise<void> {
    const key = wishKey(queue);
    const { succeeded } = await coordinator.commit([{ key, modRevision }, leadership], [{ op: "delete", key }]);
    if (succeeded) log.info("gave up a queue", { queue });
  }

  /** Not what is claimed still: its owner cleans up by itself as it goes. */
  async function cleanUp(wishes: readonly Wish[], routes: readonly FlowRoute[]): Promise<void> {
    if (options.cleanUp === undefined || clock.monotonic() - cleanedAt < cleanUpEveryMs) return;
    cleanedAt = clock.monotonic();
    const claims = await coordinator.list(claimsPrefix);
    const known = new Set([
      ...[...wishes, ...routes].map(({ queue }) => queue),
      ...claims.map(({ key }) => parsePartitionKey(key.slice(claimsPrefix.length)).queue),
    ]);
    try {
      await options.cleanUp((queue) => isDedicatedQueue(queue) && !known.has(queue));
    } catch (cause) {
      log.debug("cannot clean up after owners", { cause: String(cause) });
    }
  }

  return {
    async read() {
      await askForUsed();
      const routes = await readRoutes(coordinator);
      metrics.routes.set(routes.length);
      const needed = [...(used ?? [])].filter(isDedicatedQueue);
      return { routes, queues: [...new Set([...routes.map(({ queue }) => queue), ...needed])] };
    },
    async round(input) {
      const { routes, reports, wishes, leadership } = input;
      const isOpening = routes.some(({ state }) => state === "opening");
      const claimed = isOpening ? await claimedQueues(coordinator) : new Set<string>();
      const now = { wall: clock.now(), monotonic: clock.monotonic() };
      const wished = wishes.map(({ queue }) => queue).filter(isDedicatedQueue);
      const decision = decideRoutes({ routes, reports, wished, claimed, used, before: memory, now }, config);
      memory = decision.memory;
      metrics.refusedRoutes.set(decision.refused);
      for (const route of decision.changed) await change(route, input);
      for (const route of decision.ended) await end(route, input);
      const unneeded = new Set(decision.unneeded);
      for (const wish of wishes) if (unneeded.has(wish.queue)) await giveUp(wish, leadership);
      await cleanUp(wishes, routes);
    },
    forget() {
      memory = noRouteMemory;
      used = undefined;
      askedAt = Number.NEGATIVE_INFINITY;
      metrics.routes.set(0);
      metrics.refusedRoutes.set(0);
    },
  };
}

/** Queues of which every lane is claimed. */
async function claimedQueues(coordinator: Coordinator): Promise<ReadonlySet<string>> {
  const lanes = new Map<string, number>();
  for (const { key } of await coordinator.list(claimsPrefix)) {
    const { queue, prefix } = parsePartitionKey(key.slice(claimsPrefix.length));
    lanes.set(queue, (lanes.get(queue) ?? 0) + laneCountOf(prefix));
  }
  return new Set([...lanes].filter(([, count]) => count === laneCount).map(([queue]) => queue));
}
