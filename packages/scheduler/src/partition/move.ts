// Loop: gives what waits of a flow to the queue where its new tasks go, so that the others of this queue are freed: to the queue
// that the flow was given as its own, or back from it.
//
//   at rest ──a route opens or folds──▶ passing over the flow's rows, page by page ──end──▶ at rest ──1 s … 5 min──▶ passing …
//
// Again and again, because api-servers that have not heard of the route write to the old queue for a while. What is met in that
// time when its turn comes runs where it lies.
//
// A row is moved as every row is parked: it becomes active here, so that nobody else decides about it, and goes by a write that
// is guarded by its lane and attempt, and repeated until its outcome is known. A row that an earlier owner may have dispatched is
// not touched before every agent has answered. The owner of the new lane takes it out of its parking, with its own stamp.
import type { FlowRoute } from "@sluice/coordination";
import { firstQueueOf, flowKey, isDedicatedQueue, type Lane, type Loop, laneCount } from "@sluice/core";
import type { MovablePage, MovableRow } from "@sluice/store";
import { type PartitionContext, pushWrite } from "./context.ts";
import { every } from "./every.ts";
import { flowLimits } from "./homes.ts";

/** Rows of the account that are looked at in one go. */
const pageMax = 1_000;
/** More writes are not left to the settle loop at once: ends of attempts come first. */
const pendingMax = 512;
const pendingLookMs = 5;
const moveEveryMs = 1_000;
const restMs = { first: 1_000, max: 300_000 };
const statuses: readonly MovableRow["status"][] = ["Enqueued", "Retrying"];

/** Where the rows of a flow are given to. */
interface Target {
  readonly queue: string;
  /** Undefined: any. */
  readonly lane: Lane | undefined;
}

/** How far the passes of one route are. */
interface Passes {
  readonly modRevision: number;
  restsUntil: number;
  restMs: number;
}

export function moveLoop(context: PartitionContext): Loop {
  const { clock, followedRoutes } = context;
  const known = new Map<string, Passes>();
  const loop = every(
    context,
    "move rows to another queue",
    (signal) => context.wakeMoves.wait(signal, moveEveryMs),
    async (signal) => {
      // Until then some rows may not be touched, and the others can wait.
      if (context.unanswered.size > 0) return undefined;
      const { routes } = followedRoutes;
      const keys = new Set(routes.map(flowKey));
      for (const key of known.keys()) if (!keys.has(key)) known.delete(key);
      for (const route of routes) {
        const key = flowKey(route);
        let passes = known.get(key);
        if (passes?.modRevision !== route.modRevision) {
          passes = { modRevision: route.modRevision, restsUntil: 0, restMs: restMs.first };
          known.set(key, passes);
        }
        if (clock.monotonic() < passes.restsUntil || !mayHaveRows(context, route)) continue;
        const target = await targetOf(context, route);
        if (target === undefined) continue;
        const moved = await passOver(context, route, target, signal);
        if (moved === "stale") return moved;
        if (signal.aborted || context.draining) return undefined;
        passes.restMs = moved > 0 ? restMs.first : Math.min(2 * passes.restMs, restMs.max);
        passes.restsUntil = clock.monotonic() + passes.restMs;
      }
      return undefined;
    },
  );
  return async (signal) => {
    const stopWatching = followedRoutes.watch(() => context.wakeMoves.notify());
    try {
      await loop(signal);
    } finally {
      stopWatching();
    }
  };
}

/** A queue that a flow was given as its own has no rows of another one. */
function mayHaveRows({ owner }: PartitionContext, { queue, state }: FlowRoute): boolean {
  if (state === "opening") return false;
  return state === "open" ? owner.queue !== queue && !isDedicatedQueue(owner.queue) : owner.queue === queue;
}

/** Undefined: its rows may stay where they are, or are moved when their turn comes. */
async function targetOf(context: PartitionContext, route: FlowRoute): Promise<Target | undefined> {
  await Promise.all([context.functions.read([route]), context.accounts.read([route.accountId])]);
  const home = flowLimits(context, route, context.functions.peek(route))?.home;
  const shared = () => firstQueueOf(route.accountId, context.queues);
  const target = home ?? { queue: route.state === "open" ? route.queue : shared(), lane: undefined };
  return target.queue === context.owner.queue ? undefined : target;
}

/** How many rows were given away. */
async function passOver(
  context: PartitionContext,
  route: FlowRoute,
  target: Target,
  signal: AbortSignal,
): Promise<number | "stale"> {
  const { accountId, functionName } = route;
  const flow = { accountId, functionName };
  let moved = 0;
  for (const status of statuses) {
    for (let after: MovablePage["last"] = { enqueuedAt: 0, seq: 0 }; after !== undefined; ) {
      if (signal.aborted || context.draining || !context.isTrusted() || context.unanswered.size > 0) return moved;
      const page: MovablePage | "stale" = await context.store.lanes.movable(context.owner, {
        ...{ flow, status, after },
        limit: pageMax,
      });
      if (page === "stale") return page;
      moved += await giveAway(context, page.rows, target, signal);
      after = page.last;
    }
  }
  if (moved > 0) context.log.info("gave rows to another queue", { ...flow, queue: target.queue, count: moved });
  return moved;
}

async function giveAway(
  context: PartitionContext,
  rows: readonly MovableRow[],
  target: Target,
  signal: AbortSignal,
): Promise<number> {
  // Those of a page share a lane, so that they are announced in full blocks.
  const lane = target.lane ?? Math.floor(context.random.next() * laneCount);
  let count = 0;
  for (const row of rows) {
    while (context.pending.size >= pendingMax && !signal.aborted) await context.clock.sleep(pendingLookMs, signal);
    if (signal.aborted || context.draining || context.unanswered.size > 0) break;
    // Whoever is at work on it decides what becomes of it; and an agent may have it from a former life.
    if (context.memory.active(row.seq) || context.suspects.has(row.seq)) continue;
    const { seq, attempt, announcedAt, retries, lostAttempts, status } = row;
    context.memory.activateRow(row, "settling");
    const moveTo = { queue: target.queue, lane };
    pushWrite(context, {
      write: {
        ...{ kind: "park", seq, attempt, lane: row.lane, status, reason: "overflow" },
        ...{ dueAt: context.clock.now(), nextAttempt: attempt, announcedAt, retries, lostAttempts },
        ...{ error: undefined, events: [], moveTo },
      },
      confirmTo: undefined,
    });
    count += 1;
  }
  context.metrics.moved.inc(count);
  return count;
}
