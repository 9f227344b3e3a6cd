// Queues of functions' own, as operators give and take them. Commands are written into the route, on the condition that it is
// still the one that was read; the leader opens it, empties its queue and ends it, on the same condition.
import {
  type Coordinator,
  eventWrites,
  type FlowRoute,
  newRoute,
  readRoutes,
  routesMaxDefault,
  writeRoute,
} from "@sluice/coordination";
import { AccountId, AppError, type Clock, type Flow, FunctionName, flowKey } from "@sluice/core";
import {
  type Api,
  type CallContext,
  type ClusterRoute,
  type ClusterServiceService,
  type RouteChange,
  RouteState,
} from "@sluice/protocol";
import type { Logger } from "@sluice/runtime";
import type { Store } from "@sluice/store";
import type { ApiServerMetrics } from "../metrics.ts";

export interface RouteCallsOptions {
  /** Throws unless the call may look after the cluster. */
  readonly authorize: (context: CallContext) => Promise<AccountId>;
  readonly coordinator: Coordinator;
  readonly store: Pick<Store, "functions">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: ApiServerMetrics;
}

type RouteCalls = Pick<Api<typeof ClusterServiceService>, "listRoutes" | "addRoute" | "removeRoute">;

/** Others may change the same route at the same moment; not so often in a row. */
const triesMax = 5;

export function createRouteCalls(options: RouteCallsOptions): RouteCalls {
  const { authorize, coordinator, store, clock, log, metrics } = options;

  /** `change`: the route to be written; undefined: it is so already. */
  async function command(
    kind: "add route" | "remove route",
    { flow, operator }: { readonly flow: Flow; readonly operator: AccountId },
    change: (routes: readonly FlowRoute[], known: FlowRoute | undefined) => FlowRoute | undefined,
  ): Promise<RouteChange> {
    for (let tries = 0; tries < triesMax; tries++) {
      const routes = await readRoutes(coordinator);
      const known = routes.find((route) => flowKey(route) === flowKey(flow));
      const changed = change(routes, known);
      if (changed === undefined) return { route: known && toWire(known), changed: false };
      const event = {
        ...{ at: clock.now(), kind: `route ${changed.state}` as const, reason: "command", by: operator, figures: {} },
        ...{ flow: flowKey(flow), queue: changed.queue, prefix: "", from: "", to: "" },
      };
      if (!(await writeRoute(coordinator, changed, [], eventWrites([event])))) continue;
      metrics.clusterCommands.inc({ kind });
      log.info("changed a route on command", { kind, operator, ...flow, queue: changed.queue });
      return { route: toWire(changed), changed: true };
    }
    throw new AppError("unavailable", "CLUSTER_CHANGES", `the route of ${flowKey(flow)} is changing; try again`);
  }

  return {
    async listRoutes(_request, context) {
      await authorize(context);
      return { routes: (await readRoutes(coordinator)).map(toWire) };
    },
    async addRoute(request, context) {
      const operator = await authorize(context);
      const flow = parseFlow(request);
      if ((await store.functions.read([flow])).length === 0) {
        const message = `there is no function ${flowKey(flow)}`;
        throw new AppError("not_found", "FUNCTION_NOT_FOUND", message, { field: "function" });
      }
      return command("add route", { flow, operator }, (routes, known) => {
        if (known === undefined && routes.length >= routesMaxDefault) throw tooManyRoutes();
        const isThere = known !== undefined && known.state !== "folding";
        if (isThere && known.reason === "command") return undefined;
        const wanted = newRoute(flow, "command", clock.now());
        // One that is there for another reason stays as it is, and longer.
        if (isThere) return { ...known, reason: "command" };
        return { ...wanted, modRevision: known?.modRevision ?? 0 };
      });
    },
    async removeRoute(request, context) {
      const operator = await authorize(context);
      const flow = parseFlow(request);
      return command("remove route", { flow, operator }, (_routes, known) => {
        if (known?.state === "folding") return undefined;
        if (known !== undefined) return { ...known, state: "folding", changedAt: clock.now() };
        const message = `${flowKey(flow)} has no queue of its own`;
        throw new AppError("not_found", "ROUTE_NOT_FOUND", message, { field: "function" });
      });
    },
  };
}

function parseFlow({ account, function: name }: { readonly account: string; readonly function: string }): Flow {
  return { accountId: AccountId(account), functionName: FunctionName(name) };
}

function tooManyRoutes(): AppError {
  return new AppError(
    "precondition",
    "TOO_MANY_ROUTES",
    `${routesMaxDefault} functions have a queue of their own already; remove one first`,
  );
}

export const routeStates = {
  opening: RouteState.OPENING,
  open: RouteState.OPEN,
  folding: RouteState.FOLDING,
} as const;

function toWire({ accountId, functionName, queue, state, reason, changedAt, idleSince = 0 }: FlowRoute): ClusterRoute {
  return {
    account: accountId,
    function: functionName,
    queue,
    state: routeStates[state],
    reason,
    changedAtMs: changedAt,
    idleSinceMs: idleSince,
  };
}
