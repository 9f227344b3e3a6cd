// Which flows get a queue of their own, and which give it back. Pure; all of it is decided anew in each round, from what the
// owners report and what is written in the routes, so that a new leader goes on where the last one was.
//
//   (nothing) ──asks, or hot for a while; there is room──▶ opening ──every lane of its queue is claimed──▶ open
//       ▲                                                                                             │
//       └──no row, and nothing happened for a while──── folding ◀──asks no more, idle, or commanded───┘
//
// Owners name the flows that ask for a queue, and the hottest of the others, in what they report of their loads: a function is
// known to ask as soon as its first task has been dispatched, and nobody has to look through all functions. An asking flow that
// is idle is reported by nobody, and keeps its queue for `idleMs`; so does a hot one, which keeps it while it is in use.
//
// Asking costs nothing, and a queue is kept with a task now and then. So no account gets more than a few, and some of all are kept
// for flows that are hot without asking. What operators command is their business: it takes from the room of all alone.
import {
  defaultRouteLimits,
  type FlowLoad,
  type FlowRoute,
  isAsked,
  type LoadReport,
  newRoute,
  type RouteLimits,
  type RouteReason,
  refusalOf,
} from "@sluice/coordination";
import { type EpochMs, flowKey } from "@sluice/core";

/** Durations in ms. */
export interface RoutesConfig extends RouteLimits {
  /** Hot: more than so many tasks of a flow wait in the memory of its owners … default 20,000. */
  readonly hotWaitingMin: number;
  /** … or so many are dispatched per second. Default 2,000. */
  readonly hotPerSecondMin: number;
  /** A flow that was hot for so long gets a queue. Default 15 s. */
  readonly hotRouteForMs: number;
  /** A queue in which nothing happened for so long is given back. Default 10 min. */
  readonly idleMs: number;
  /**
   * A queue without route is owned for so long after its last row was seen: longer than api-servers believe old routes, and
   * than agents are away, which have outcomes to be confirmed. Default 5 min.
   */
  readonly foldMs: number;
}
export const defaultRoutesConfig: RoutesConfig = {
  ...defaultRouteLimits,
  hotWaitingMin: 20_000,
  hotPerSecondMin: 2_000,
  hotRouteForMs: 15_000,
  idleMs: 600_000,
  foldMs: 300_000,
};

/** Since when each flow is hot, and each queue without rows, monotonic; by key. */
export interface RouteMemory {
  readonly hotSince: ReadonlyMap<string, number>;
  readonly emptySince: ReadonlyMap<string, number>;
}
export const noRouteMemory: RouteMemory = { hotSince: new Map(), emptySince: new Map() };

export interface RoutesInput {
  readonly routes: readonly FlowRoute[];
  readonly reports: readonly LoadReport[];
  /** Queues of flows that have a wish. */
  readonly wished: readonly string[];
  /** Queues of which every lane is claimed. */
  readonly claimed: ReadonlySet<string>;
  /** Queues that have rows which are not final, and others perhaps; undefined: not known now. */
  readonly used: ReadonlySet<string> | undefined;
  readonly before: RouteMemory;
  readonly now: { readonly wall: EpochMs; readonly monotonic: number };
}

export interface RoutesDecision {
  /** To be written: new ones have revision 0. */
  readonly changed: readonly FlowRoute[];
  /** To be deleted. */
  readonly ended: readonly FlowRoute[];
  /** Queues whose wish is to be deleted: no flow has them, and nothing has been in them for a while. */
  readonly unneeded: readonly string[];
  /** Flows that would get a queue if there were room. */
  readonly refused: number;
  readonly memory: RouteMemory;
}

export function decideRoutes(input: RoutesInput, config: RoutesConfig = defaultRoutesConfig): RoutesDecision {
  const flows = sumOfFlows(input.reports);
  const memory = remember(input, flows, config);
  const changed: FlowRoute[] = [];
  const ended: FlowRoute[] = [];
  for (const route of input.routes) {
    const next = follow(route, flows.get(flowKey(route)), input, memory, config);
    if (next === "ended") ended.push(route);
    else if (next !== route) changed.push(next);
  }
  const wanted = wantedRoutes(flows, input, memory, config);
  const granted = grant(wanted, input.routes, config);
  changed.push(...granted);
  const routed = new Set(input.routes.map(({ queue }) => queue));
  const unneeded = input.wished.filter(
    (queue) => !routed.has(queue) && isEmptyFor(config.foldMs, queue, memory, input),
  );
  return { changed, ended, unneeded, refused: wanted.length - granted.length, memory };
}

/** Loads of a flow in all partitions. */
export function sumOfFlows(reports: readonly LoadReport[]): ReadonlyMap<string, FlowLoad> {
  const sums = new Map<string, FlowLoad>();
  for (const flow of reports.flatMap(({ flows = [] }) => flows)) {
    const key = flowKey(flow);
    const known = sums.get(key);
    sums.set(key, {
      ...flow,
      waiting: flow.waiting + (known?.waiting ?? 0),
      dispatchedPerSecond: flow.dispatchedPerSecond + (known?.dispatchedPerSecond ?? 0),
      asksFor: known !== undefined && known.asksFor !== "nothing" ? known.asksFor : flow.asksFor,
    });
  }
  return sums;
}

function remember(
  { routes, wished, used, before, now }: RoutesInput,
  flows: ReadonlyMap<string, FlowLoad>,
  config: RoutesConfig,
): RouteMemory {
  const hotSince = new Map<string, number>();
  for (const [key, flow] of flows) {
    const isHot = flow.waiting >= config.hotWaitingMin || flow.dispatchedPerSecond >= config.hotPerSecondMin;
    if (isHot) hotSince.set(key, before.hotSince.get(key) ?? now.monotonic);
  }
  const emptySince = new Map<string, number>();
  for (const queue of new Set([...routes.map((route) => route.queue), ...wished])) {
    // While nobody can tell, what was known stays.
    const since = used === undefined ? before.emptySince.get(queue) : used.has(queue) ? undefined : now.monotonic;
    const known = before.emptySince.get(queue);
    if (since !== undefined) emptySince.set(queue, known ?? since);
  }
  return { hotSince, emptySince };
}

/** What becomes of a route; itself: nothing. */
function follow(
  route: FlowRoute,
  flow: FlowLoad | undefined,
  input: RoutesInput,
  memory: RouteMemory,
  config: RoutesConfig,
): FlowRoute | "ended" {
  const { now } = input;
  switch (route.state) {
    case "opening":
      return input.claimed.has(route.queue) ? changedTo(route, "open", now.wall) : route;
    case "open": {
      if (isAsked(route.reason) && flow?.asksFor === "nothing") return changedTo(route, "folding", now.wall);
      const idle = withIdle(route, input, isEmptyFor(config.foldMs, route.queue, memory, input));
      const isIdle = idle.idleSince !== undefined && now.wall - idle.idleSince >= config.idleMs;
      return isIdle && route.reason !== "command" ? changedTo(route, "folding", now.wall) : idle;
    }
    case "folding": {
      const isEmpty = isEmptyFor(config.foldMs, route.queue, memory, input);
      return isEmpty && now.wall - route.changedAt >= config.foldMs ? "ended" : route;
    }
  }
}

function changedTo({ idleSince: _, ...route }: FlowRoute, state: FlowRoute["state"], changedAt: EpochMs): FlowRoute {
  return { ...route, state, changedAt };
}

/** Empty: without rows that are not final. Nothing waits, is parked or runs. */
function isEmptyFor(ms: number, queue: string, { emptySince }: RouteMemory, { now, used }: RoutesInput): boolean {
  const since = emptySince.get(queue);
  return used !== undefined && since !== undefined && now.monotonic - since >= ms;
}

/** What an earlier leader saw holds until rows are seen again. */
function withIdle(route: FlowRoute, { used, now }: RoutesInput, isEmpty: boolean): FlowRoute {
  const { idleSince, ...busy } = route;
  if (idleSince === undefined) return isEmpty ? { ...route, idleSince: now.wall } : route;
  return used?.has(route.queue) === true ? busy : route;
}

/** As many of the wanted routes, in their order, as there is room for. */
function grant(wanted: readonly FlowRoute[], routes: readonly FlowRoute[], config: RoutesConfig): FlowRoute[] {
  const granted: FlowRoute[] = [];
  for (const route of wanted) {
    if (refusalOf([...routes, ...granted], route, config) === undefined) granted.push(route);
  }
  return granted;
}

/** New routes: those that ask come first, then the hottest. */
function wantedRoutes(
  flows: ReadonlyMap<string, FlowLoad>,
  { routes, now }: RoutesInput,
  { hotSince }: RouteMemory,
  { hotRouteForMs }: RoutesConfig,
): FlowRoute[] {
  const routed = new Set(routes.map(flowKey));
  const wanted = [...flows].flatMap(([key, flow]) => {
    if (routed.has(key)) return [];
    const since = hotSince.get(key);
    const isHot = since !== undefined && now.monotonic - since >= hotRouteForMs;
    const reason = reasonOf(flow) ?? (isHot ? "hot" : undefined);
    return reason === undefined ? [] : [{ flow, reason }];
  });
  const rank = ({ reason }: (typeof wanted)[number]) => (reason === "hot" ? 1 : 0);
  return wanted
    .sort(
      (a, b) => rank(a) - rank(b) || b.flow.waiting - a.flow.waiting || (flowKey(a.flow) < flowKey(b.flow) ? -1 : 1),
    )
    .map(({ flow, reason }) => newRoute(flow, reason, now.wall));
}

function reasonOf({ asksFor }: FlowLoad): RouteReason | undefined {
  if (asksFor === "latency") return "latency";
  return asksFor === "dedicated" ? "asked" : undefined;
}
