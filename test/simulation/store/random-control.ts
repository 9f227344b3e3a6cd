// Calls about pauses and operations, and what owners do for them.
import { taskStatuses } from "@sluice/core";
import type { PauseTarget } from "@sluice/store";
import type { Call } from "./calls.ts";
import { accounts, type Draws, names, queues } from "./random-draws.ts";

export function controlCall(draws: Draws): Call {
  const { dice } = draws;
  const accountId = dice.pick(accounts);
  const pauseId = `p${dice.between(1, 4)}`;
  const operationId = `o${dice.between(1, 8)}`;
  const target = dice.pick<PauseTarget>([
    { kind: "function", accountId, functionName: dice.pick(names) },
    { kind: "account", accountId },
    { kind: "queue", queue: dice.pick(queues) },
    { kind: "tasks", filter: draws.selection() },
  ]);
  const started = { operationId, kind: dice.pick(["stop", "delete"] as const), createdBy: accountId };
  return dice.pick<() => Call>([
    () => ["control", "pause", { pauseId, target, reason: dice.pick(["", "why"]), createdBy: accountId }],
    () => ["control", "resume", pauseId],
    () => ["control", "pauses", dice.pick([undefined, accountId])],
    () => ["control", "start", { ...started, filter: draws.selection() }],
    () => ["control", "operation", operationId],
    () => ["control", "operations", dice.pick([undefined, accountId]), { before: dice.between(1, 40), limit: 3 }],
    () => ["control", "atWork", accountId],
    () => ["control", "cancel", operationId],
    () => ["control", "heed"],
    () => ["control", "reopen", draws.operation(), { after: draws.place(), limit: dice.pick([1, 3, 1_000]) }],
    () => ["control", "finish", draws.operation()],
  ])();
}

export function batchCall(draws: Draws): Call {
  const { dice } = draws;
  const owner = draws.owner();
  const operation = draws.operation();
  const seqs = draws.some(6, () => draws.seq());
  const numbers = draws.some(3, () => dice.between(1, 9));
  const status = operation.filter.status ?? dice.pick([undefined, ...taskStatuses]);
  const after = draws.place();
  return dice.pick<() => Call>([
    () => ["batches", "matching", owner, operation, { status, after, limit: dice.pick([1, 3, 1_000]) }],
    () => ["batches", "stop", owner, operation, seqs],
    () => ["batches", "delete", owner, operation, seqs],
    () => ["batches", "mark", owner, operation, seqs, numbers],
    () => ["batches", "mark", owner, operation, seqs, []],
    () => ["batches", "collect", owner, operation, 1_000],
    () => ["batches", "closeLanes", owner, operation],
    () => ["batches", "resume", owner, [...new Set(numbers)], 1_000],
  ])();
}
