// Calls of owners about rows of their lanes.
import { type FinalStatus, finalStatuses, parkReasons, priorities, taskStatuses } from "@sluice/core";
import { pausedUntil, type TaskWrite } from "@sluice/store";
import type { Call } from "./calls.ts";
import { accounts, type Draws, names, queues } from "./random-draws.ts";

export function writeCall(draws: Draws): Call {
  return ["lanes", "write", draws.owner(), draws.some(5, () => write(draws))];
}

export function laneCall(draws: Draws): Call {
  const { dice } = draws;
  const owner = draws.owner();
  const limit = dice.pick([0, 1, 3, 1_000]);
  const priority = dice.pick(priorities);
  const seqs = () => draws.some(6, () => draws.seq());
  const after = () => ({ announcedAt: draws.now() - dice.between(0, 5_000), seq: draws.seq() });
  return dice.pick<() => Call>([
    () => ["lanes", "floors", owner.queue],
    () => ["lanes", "allFloors"],
    () => ["lanes", "raiseFloor", draws.claim()],
    () => ["lanes", "read", owner, seqs()],
    () => ["lanes", "read", owner, seqs()],
    () => ["lanes", "unpark", owner, limit, dice.chance(0.5) ? seqs() : []],
    () => ["lanes", "unpark", owner, 1_000, []],
    () => ["lanes", "dueIn", owner, dice.pick([0, 500, 10_000])],
    () => [
      "lanes",
      "sweep",
      owner,
      { priority, announcedBefore: draws.now() - dice.between(-1, 3_000), after: after(), limit },
    ],
    () => [
      "lanes",
      "sweep",
      owner,
      { priority, announcedBefore: Number.POSITIVE_INFINITY, after: { announcedAt: 0, seq: 0 }, limit },
    ],
    () => ["lanes", "touch", owner, seqs()],
    () => [
      "lanes",
      "parkOverflow",
      owner,
      seqs(),
      { dueInMs: dice.between(0, 5_000), announcedUntil: draws.now() - dice.between(-1, 3_000) },
    ],
    () => ["lanes", "parkOverflow", owner, seqs(), { dueInMs: 1_000, announcedUntil: draws.now() }],
    () => [
      "lanes",
      "unparkOverflow",
      owner,
      dice.chance(0.5) ? draws.overflown(owner) : { accountId: dice.pick(accounts), functionName: dice.pick(names) },
      limit,
    ],
    () => ["lanes", "overflowFlows", owner, { limit, countMax: 1 + limit }],
    () => [
      "lanes",
      "movable",
      owner,
      {
        flow: dice.chance(0.5)
          ? draws.overflown(owner)
          : { accountId: dice.pick(accounts), functionName: dice.pick(names) },
        status: dice.pick(["Enqueued", "Retrying"]),
        after: dice.chance(0.7) ? { enqueuedAt: 0, seq: 0 } : { enqueuedAt: after().announcedAt, seq: after().seq },
        limit,
      },
    ],
    () => ["lanes", "queuesInUse"],
    () => [
      "lanes",
      "expired",
      owner,
      { priority, after: dice.chance(0.5) ? { announcedAt: 0, seq: 0 } : after(), limit: 1_000 },
    ],
    () => ["lanes", "expire", owner, seqs(), { stampMin: dice.pick([0, owner.epoch]) }],
    () => ["lanes", "expire", owner, seqs(), { stampMin: 0 }],
    () => ["lanes", "marked", owner, 1_000],
    () => ["lanes", "waiting", owner.queue, { after: dice.chance(0.5) ? undefined : { ...after(), priority }, limit }],
    () => ["lanes", "purge", owner, { endedBefore: draws.now() - dice.between(0, 20_000), limit: 1_000 }],
  ])();
}

function write(draws: Draws): TaskWrite {
  const { dice } = draws;
  const seq = draws.seq();
  const row = draws.tables.rows.bySeq(seq);
  const attempt = Math.max(1, (row?.attempt ?? 1) + dice.pick([0, 0, 0, 0, 0, 1, -1]));
  const guard = { seq, attempt, lane: dice.chance(0.95) ? (row?.lane ?? 0) : dice.between(0, 31) };
  const text = () => dice.pick(["", "fine", "a\0b\ud800", '"\\u0000"']);
  const error = dice.chance(0.4) ? { type: "Boom", message: text(), body: text() } : undefined;
  const event = () => ({
    status: dice.pick(taskStatuses),
    at: draws.now(),
    attempt,
    detail: { why: text(), left: undefined, of: [1, text()] },
  });
  const events = draws.some(2, event);
  const at = draws.now() - dice.between(0, 100);
  return dice.pick<() => TaskWrite>([
    () => ({
      ...guard,
      kind: "settle",
      status: dice.pick<FinalStatus>(finalStatuses),
      result: draws.bytes(),
      error,
      startedAt: dice.pick([undefined, at]),
      agentId: dice.pick([undefined, text()]),
      instanceId: dice.pick([undefined, "i1"]),
      events,
    }),
    () => ({
      ...guard,
      kind: "park",
      status: dice.pick(["Enqueued", "Retrying"]),
      dueAt: dice.chance(0.2) ? pausedUntil(dice.between(1, 9)) : draws.now() + dice.between(-2_000, 20_000),
      reason: dice.pick(parkReasons),
      nextAttempt: attempt + dice.between(0, 1),
      ...(dice.chance(0.5) && { announcedAt: dice.pick([row?.announcedAt ?? at, row?.announcedAt ?? at, at]) }),
      retries: dice.between(0, 3),
      lostAttempts: dice.between(0, 3),
      error,
      events,
      ...(dice.chance(0.3) && { moveTo: { queue: dice.pick(queues), lane: dice.between(0, 31) } }),
    }),
    () => ({
      ...guard,
      kind: "running",
      startedAt: at,
      agentId: text(),
      instanceId: "i2",
      progress: dice.pick([undefined, text()]),
    }),
  ])();
}
