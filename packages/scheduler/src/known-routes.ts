// What a partition must know of the routes of flows.
import type { RouteFollower } from "@sluice/coordination";
import type { KnownRoutes } from "./partition/context.ts";

type FollowedRoutes = Pick<RouteFollower, "routeOf" | "hasChanged" | "dedicatedQueueOf" | "unchangedMs" | "ageMs">;

export function knownRoutes(follower: FollowedRoutes): KnownRoutes {
  return {
    of(flow) {
      const route = follower.routeOf(flow);
      // One that is gone, or opens again, was folded before, and nothing runs in its queue; or etcd has lost it, and much may.
      const wasRouted = route === undefined || route.state === "opening" ? follower.hasChanged(flow) : true;
      return { dedicatedQueue: follower.dedicatedQueueOf(flow), unchangedMs: follower.unchangedMs(flow), wasRouted };
    },
    ageMs: () => follower.ageMs(),
  };
}
