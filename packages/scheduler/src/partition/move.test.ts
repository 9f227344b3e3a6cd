// What waits of a flow goes to the queue that the flow was given as its own; what may be running somewhere stays.
import type { FlowRoute } from "@sluice/coordination";
import type { Seq } from "@sluice/core";
import { aFlow } from "@sluice/core/testing";
import type { MovableRow } from "@sluice/store";
import { expect, test } from "vitest";
import { moveLoop } from "./move.ts";
import { PendingWrites } from "./pending-writes.ts";
import { owner, rowsWorld } from "./rows.fixture.ts";

const echo = aFlow();
const route: FlowRoute = {
  ...{ ...echo, queue: "d1", state: "open", reason: "hot", changedAt: 0, modRevision: 1 },
};

function aRow(seq: Seq): MovableRow {
  return {
    ...{
      ...echo,
      seq,
      lane: 7,
      status: "Enqueued",
      priority: 2,
      stamp: owner.epoch - 1,
      enqueuedAt: 0,
      announcedAt: 9,
    },
    ...{ attempt: 3, retries: 2, lostAttempts: 1 },
  };
}

/** A partition with three rows of a flow that has been given a queue of its own. */
async function startMoving(unanswered: readonly string[] = []) {
  const world = await rowsWorld({ unanswered });
  const { context } = world;
  const looks: number[] = [];
  const movable = async (_owner: unknown, { status }: { status: string }) => {
    looks.push(world.clock.monotonic());
    return { rows: status === "Enqueued" ? [aRow(1), aRow(2), aRow(3)] : [], last: undefined };
  };
  Object.assign(context.store.lanes, { movable });
  Object.assign(context, {
    pending: new PendingWrites(),
    followedRoutes: { routes: [route], watch: () => () => undefined },
    functions: { read: async () => new Map(), peek: () => undefined },
    accounts: { read: async () => new Map() },
    random: { next: () => 0.5 },
    queues: ["q0", "q1"],
  });
  const written = () => context.pending.take(9).map(({ write }) => write);
  return { ...world, looks, written, start: () => world.run(moveLoop(context)) };
}

test("what waits is parked in the flow's queue, by a write that is guarded by its lane and attempt", async () => {
  const { clock, context, written, start } = await startMoving();
  start();
  await clock.advance(2_000);

  expect(context.memory.active(1)?.state).toBe("settling");
  const moved = { kind: "park", lane: 7, attempt: 3, nextAttempt: 3, retries: 2, lostAttempts: 1, status: "Enqueued" };
  const moveTo = { queue: "d1", lane: 16 };
  expect(written()).toMatchObject([1, 2, 3].map((seq) => ({ ...moved, seq, moveTo })));
});

test("nothing is moved while an agent may be running rows of earlier owners", async () => {
  const { clock, context, looks, written, start } = await startMoving(["a1"]);
  start();
  await clock.advance(60_000);
  expect([looks.length, written().length]).toEqual([0, 0]);

  context.unanswered.clear();
  await clock.advance(2_000);

  expect(written()).toHaveLength(3);
});

test("what somebody is at work on is left alone, and so is what a dead agent may have had", async () => {
  const { clock, context, written, start } = await startMoving();
  const task = context.memory.activate(1, { origin: { ...echo, lane: 7, priority: 2, enqueuedAt: 0 }, flowKey: "f" });
  task.state = "dispatched";
  context.suspects.set(2, { attempt: 3, witnesses: new Set(), end: undefined });
  start();
  await clock.advance(2_000);

  expect(written()).toMatchObject([{ seq: 3 }]);
  expect(context.memory.active(1)).toBe(task);
});
