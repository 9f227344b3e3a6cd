// Where the tasks of a function wait, and why not in a queue of their own although it asks for one.
import { type FlowRoute, type RouteFollower, refusalOf } from "@sluice/coordination";
import { isLimited } from "@sluice/core";
import { type FunctionQueue, RouteState } from "@sluice/protocol";
import type { FunctionRecord, Store } from "@sluice/store";
import { routeStates } from "../cluster/routes.ts";
import { routesBelievedMs } from "../submit/routing/routing.ts";

export interface FunctionQueueDeps {
  readonly store: Pick<Store, "accounts">;
  readonly routes: Pick<RouteFollower, "routes" | "routeOf" | "ageMs">;
}

/** Undefined: it is not known now, because the routes were not heard of for long. */
export async function queueOf(
  { store, routes }: FunctionQueueDeps,
  record: FunctionRecord,
): Promise<FunctionQueue | undefined> {
  if (routes.ageMs() > routesBelievedMs) return undefined;
  const route = routes.routeOf(record);
  const { queue: name = "", reason = "" } = route ?? {};
  const state = route === undefined ? RouteState.UNSPECIFIED : routeStates[route.state];
  return { name, state, reason, withheld: await whyWithheld(store, record, route, routes.routes) };
}

/** Empty: its queue is used, or it has none and asks for none. */
async function whyWithheld(
  store: Pick<Store, "accounts">,
  { accountId, settings: { dedicatedQueue, latencySensitive } }: FunctionRecord,
  route: FlowRoute | undefined,
  routes: readonly FlowRoute[],
): Promise<string> {
  const asks = dedicatedQueue || latencySensitive;
  if (!asks && route === undefined) return "";
  const [account] = await store.accounts.read([accountId]);
  if (isLimited(account?.settings)) return "ACCOUNT_LIMITED";
  if (!asks || route?.state === "open") return "";
  if (route !== undefined) return "NOT_OPEN_YET";
  return refusalOf(routes, { accountId, reason: latencySensitive ? "latency" : "asked" }) ?? "NOT_ASKED_YET";
}
