// Loop: keeps the routes of flows that have their own queue.
//
//   nothing known ──list──▶ known ──a hint, or 2 s──▶ listed again
//
// Ages count from when a list was asked for, by the own monotonic clock. So whoever wants to be sure that nobody goes by an
// older answer only has to wait for as long as answers are believed: the clocks of two hosts need not agree.
import { type Flow, flowKey } from "@sluice/core";
import { type FollowerOptions, followLoop } from "./follow.ts";
import type { Coordinator } from "./index.ts";
import { routesPrefix } from "./keys.ts";
import { type FlowRoute, readRoutes, routesByFlow } from "./routes.ts";

export interface RouteFollower {
  /** The queue that the flow was given as its own, as far as is known; undefined: none. */
  dedicatedQueueOf(flow: Flow): string | undefined;
  /** Also one that opens or folds; undefined: none. */
  routeOf(flow: Flow): FlowRoute | undefined;
  /** All that are known, also those that open or fold. The same object until one changes. */
  readonly routes: readonly FlowRoute[];
  /** How old the answers may be, in ms. Infinity: nothing is known yet. */
  ageMs(): number;
  /** For how long the answer about this flow has been the same here, in ms; 0: nothing is known yet. */
  unchangedMs(flow: Flow): number;
  /** Whether the answer about this flow has changed here; a route that is gone is forgotten after ten minutes, or later. */
  hasChanged(flow: Flow): boolean;
  /** Calls `listener` when a route came, changed or went. Returns how to stop. */
  watch(listener: () => void): () => void;
  run(signal: AbortSignal): Promise<void>;
}

/** Nobody asks for how long a flow has been without a route that lost it longer ago. */
const rememberedMs = 10 * 60_000;

export function createRouteFollower(options: FollowerOptions): RouteFollower {
  const { clock } = options;
  const listeners = new Set<() => void>();
  let routes: readonly FlowRoute[] = [];
  let byFlow: ReadonlyMap<string, FlowRoute> = new Map();
  /** Monotonic: when the last list was asked for, when the first answer came, and when answers changed. */
  let listedAt = Number.NEGATIVE_INFINITY;
  let knownSince: number | undefined;
  const changedAt = new Map<string, number>();

  async function list(coordinator: Coordinator): Promise<void> {
    const askedAt = clock.monotonic();
    const found = await readRoutes(coordinator);
    listedAt = askedAt;
    const now = clock.monotonic();
    knownSince ??= now;
    if (isSame(found, routes)) return;
    const before = byFlow;
    routes = found;
    byFlow = routesByFlow(found);
    for (const key of new Set([...before.keys(), ...byFlow.keys()])) {
      if (openQueueOf(before.get(key)) !== openQueueOf(byFlow.get(key))) changedAt.set(key, now);
    }
    for (const [key, at] of changedAt) if (!byFlow.has(key) && now - at > rememberedMs) changedAt.delete(key);
    for (const listener of listeners) listener();
  }

  return {
    dedicatedQueueOf: (flow) => (routes.length === 0 ? undefined : openQueueOf(byFlow.get(flowKey(flow)))),
    routeOf: (flow) => (routes.length === 0 ? undefined : byFlow.get(flowKey(flow))),
    get routes() {
      return routes;
    },
    ageMs: () => clock.monotonic() - listedAt,
    unchangedMs(flow) {
      if (knownSince === undefined) return 0;
      return clock.monotonic() - (changedAt.get(flowKey(flow)) ?? knownSince);
    },
    hasChanged: (flow) => changedAt.size > 0 && changedAt.has(flowKey(flow)),
    watch(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    run: followLoop(options, routesPrefix, list),
  };
}

function openQueueOf(route: FlowRoute | undefined): string | undefined {
  return route?.state === "open" ? route.queue : undefined;
}

function isSame(a: readonly FlowRoute[], b: readonly FlowRoute[]): boolean {
  return a.length === b.length && a.every((route, index) => isOne(route, b[index]));
}

function isOne(a: FlowRoute, b: FlowRoute | undefined): boolean {
  return a.modRevision === b?.modRevision && flowKey(a) === flowKey(b);
}
