// Flows that have a queue of their own: exceptions only, every other flow uses the queues of its account.
//
//   opening ──its queue is owned──▶ open ──asked for no more, idle, or commanded──▶ folding ──nothing is left──▶ gone
//
// Only an open route is followed. While it opens or folds, its flow goes where it would without: the queue is owned first and
// emptied last, so that nothing is ever written where nobody looks. A route that folds still says whose rows lie in the queue.
import {
  type AccountId,
  assert,
  dedicatedQueueOf,
  type EpochMs,
  type Flow,
  type FunctionName,
  flowKey,
  isRetryable,
} from "@sluice/core";
import { fieldsOf } from "./fields.ts";
import type { Condition, Coordinator, Entry, Operation } from "./index.ts";
import { routeKey, routesPrefix } from "./keys.ts";

export type RouteState = "opening" | "open" | "folding";
/** Why a flow was given its own queue. A later release may write others. */
export type RouteReason = "hot" | "asked" | "latency" | "command" | "other";

export interface FlowRoute extends Flow {
  readonly queue: string;
  readonly state: RouteState;
  readonly reason: RouteReason;
  /** When it came into this state, by the clock of whoever wrote it. */
  readonly changedAt: EpochMs;
  /** Since when nothing happens in the queue; undefined: it is in use. */
  readonly idleSince?: EpochMs | undefined;
  /** Of the key; 0: not written yet. */
  readonly modRevision: number;
}

/** Flows with a queue of their own at the same time, by default: each has a partition, and four consumers. */
export const routesMaxDefault = 64;
/** More are not followed. */
export const followedRoutesMax = 1_024;

/** A route as whoever decides on it writes it first. */
export function newRoute({ accountId, functionName }: Flow, reason: RouteReason, now: EpochMs): FlowRoute {
  const queue = dedicatedQueueOf({ accountId, functionName });
  return { accountId, functionName, queue, state: "opening", reason, changedAt: now, modRevision: 0 };
}

/** Those that can be read, by account and function. */
export async function readRoutes(coordinator: Coordinator): Promise<FlowRoute[]> {
  const entries = await coordinator.list(routesPrefix);
  return entries.slice(0, followedRoutesMax).flatMap((entry) => parseRoute(entry) ?? []);
}

/**
 * Writes a route if it is still the one that was read, and if `conditions` hold; `along` in the same transaction. False: somebody
 * else changed it, or they do not hold. Recognises its own earlier success.
 */
export async function writeRoute(
  coordinator: Coordinator,
  route: FlowRoute,
  conditions: readonly Condition[] = [],
  along: readonly Operation[] = [],
): Promise<boolean> {
  const value = textOf(route);
  return await change(coordinator, route, conditions, [{ op: "put", key: routeKey(route), value }, ...along]);
}

/** Deletes a route if it is still the one that was read, and if `conditions` hold; `along` in the same transaction. */
export async function deleteRoute(
  coordinator: Coordinator,
  route: FlowRoute,
  conditions: readonly Condition[] = [],
  along: readonly Operation[] = [],
): Promise<boolean> {
  assert(route.modRevision > 0, "only a route that was read can be deleted");
  return await change(coordinator, route, conditions, [{ op: "delete", key: routeKey(route) }, ...along]);
}

async function change(
  coordinator: Coordinator,
  { modRevision }: FlowRoute,
  conditions: readonly Condition[],
  [operation, ...along]: readonly [Operation, ...Operation[]],
): Promise<boolean> {
  const { key } = operation;
  const unchanged: Condition = modRevision === 0 ? { key, is: "absent" } : { key, modRevision };
  let failure: unknown;
  try {
    const { succeeded } = await coordinator.commit([unchanged, ...conditions], [operation, ...along]);
    if (succeeded) return true;
  } catch (error) {
    if (!isRetryable(error)) throw error;
    failure = error;
  }
  const entry = await coordinator.get(key);
  const isAsWanted = operation.op === "delete" ? entry === undefined : entry?.value === operation.value;
  if ((entry?.modRevision ?? 0) !== modRevision) return isAsWanted;
  // Nothing has changed yet, but the transaction may still be on its way: not an answer.
  if (failure !== undefined) throw failure;
  return false;
}

const states: readonly RouteState[] = ["opening", "open", "folding"];
const reasons: readonly RouteReason[] = ["hot", "asked", "latency", "command", "other"];
const queuePattern = /^[A-Za-z0-9_-]{1,64}$/;

/** Undefined: a text that says nothing that this version understands. */
export function parseRoute({ key, value, modRevision }: Entry): FlowRoute | undefined {
  const [account, name, ...more] = key.slice(routesPrefix.length).split("/");
  if (!account || !name || more.length > 0) return undefined;
  const { queue, state, reason, changedAt, idleSince } = fieldsOf(value);
  if (typeof queue !== "string" || !queuePattern.test(queue)) return undefined;
  const known = states.find((each) => each === state);
  if (known === undefined || typeof changedAt !== "number") return undefined;
  return {
    accountId: account as AccountId,
    functionName: name as FunctionName,
    queue,
    state: known,
    reason: reasons.find((each) => each === reason) ?? "other",
    changedAt,
    ...(typeof idleSince === "number" && { idleSince }),
    modRevision,
  };
}

/** Equal for equal routes, so that a writer recognises its own. */
function textOf({ queue, state, reason, changedAt, idleSince }: FlowRoute): string {
  return JSON.stringify({ queue, state, reason, changedAt, idleSince });
}

/** By the key of the flow. */
export function routesByFlow(routes: readonly FlowRoute[]): ReadonlyMap<string, FlowRoute> {
  return new Map(routes.map((route) => [flowKey(route), route]));
}
