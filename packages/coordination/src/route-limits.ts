// How many flows may have a queue of their own. Asked before one is given, and by whoever wants to know why none was.
import type { AccountId } from "@sluice/core";
import { type FlowRoute, type RouteReason, routesMaxDefault } from "./routes.ts";

export interface RouteLimits {
  /** Flows with a queue of their own, at most. Default 64. */
  readonly routesMax: number;
  /** … and of one account, those that operators gave them aside. Default 8. */
  readonly routesPerAccountMax: number;
  /** Share of `routesMax` that is for hot flows, and never for those that ask. Default a quarter. */
  readonly hotRoutesShare: number;
}

export const defaultRouteLimits: RouteLimits = {
  routesMax: routesMaxDefault,
  routesPerAccountMax: 8,
  hotRoutesShare: 0.25,
};

export type RouteRefusal = "TOO_MANY_ROUTES" | "TOO_MANY_OF_ACCOUNT" | "TOO_MANY_ASK";

/** Why a flow gets no route beside these, though it is wanted for `reason`; undefined: there is room for it. */
export function refusalOf(
  routes: readonly Pick<FlowRoute, "accountId" | "reason">[],
  { accountId, reason }: { readonly accountId: AccountId; readonly reason: RouteReason },
  { routesMax, routesPerAccountMax, hotRoutesShare }: RouteLimits = defaultRouteLimits,
): RouteRefusal | undefined {
  if (routes.length >= routesMax) return "TOO_MANY_ROUTES";
  const ofAccount = routes.filter((route) => route.accountId === accountId && route.reason !== "command");
  if (ofAccount.length >= routesPerAccountMax) return "TOO_MANY_OF_ACCOUNT";
  const askedMax = routesMax - Math.floor(routesMax * hotRoutesShare);
  const isFull = isAsked(reason) && routes.filter((route) => isAsked(route.reason)).length >= askedMax;
  return isFull ? "TOO_MANY_ASK" : undefined;
}

/** Whether a route is there because its function asks for one. */
export function isAsked(reason: RouteReason): boolean {
  return reason === "asked" || reason === "latency";
}
