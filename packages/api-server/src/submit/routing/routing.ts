// Where submissions are recorded: which queue, and for limited flows which lane. Follows what the load-balancer says, live;
// when that is old, everything goes where it would go by default, which is never wrong: rows that lie elsewhere finish there,
// or are moved by the owner of their lane.
import type { AdmissionFollower, RouteFollower } from "@sluice/coordination";
import {
  type AccountId,
  type Clock,
  type Flow,
  type Limits,
  queuesOfAccount,
  type Route,
  routeOf,
  type ShorterQueueConfig,
} from "@sluice/core";
import type { ApiServerMetrics } from "../../metrics.ts";
import { createPreferredQueues } from "./preferred-queues.ts";

export interface Routing {
  routeOf(flow: Flow, limits: FlowLimits): Route;
}

export interface FlowLimits {
  readonly function: Limits;
  /** Undefined: the account has none. */
  readonly account: Limits | undefined;
}

export interface RoutingOptions {
  readonly clock: Clock;
  readonly metrics: ApiServerMetrics;
  readonly routes: Pick<RouteFollower, "dedicatedQueueOf" | "ageMs">;
  readonly admission: Pick<AdmissionFollower, "current">;
  /** The shared ones. */
  readonly queues: readonly string[];
  /** When an account leaves the queue that it uses. */
  readonly shorterQueue?: ShorterQueueConfig | undefined;
}

/**
 * A server that has not heard of routes for so long uses none. Queues of flows are kept owned for longer than this after their
 * route went, so that what it still writes there is found.
 */
export const routesBelievedMs = 15_000;

export function createRouting({ clock, metrics, routes, admission, queues, shorterQueue }: RoutingOptions): Routing {
  const preferred = createPreferredQueues({ clock, admission, shorterQueue });

  function preferredQueueOf(accountId: AccountId): string | undefined {
    const pair = queuesOfAccount(accountId, queues);
    const queue = preferred.of(accountId, pair);
    if (queue !== undefined && queue !== pair[0]) metrics.routedAside.inc();
    return queue;
  }

  return {
    routeOf(flow, limits) {
      const dedicatedQueue = routes.ageMs() <= routesBelievedMs ? routes.dedicatedQueueOf(flow) : undefined;
      if (dedicatedQueue !== undefined) return routeOf(flow, { ...limits, dedicatedQueue, queues });
      return routeOf(flow, { ...limits, preferredQueue: preferredQueueOf(flow.accountId), queues });
    },
  };
}
