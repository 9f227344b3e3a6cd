// Pauses and operations.
import { type AccountId, laneCount, type TaskStatus } from "@sluice/core";
import {
  type ControlRecords,
  type OpenOperation,
  type OperationProgress,
  type OperationRecord,
  type PauseRecord,
  type PauseTarget,
  pausesMax,
} from "@sluice/store";
import { selectsFor, walk } from "./batch-records.ts";
import type { Model } from "./model-store.ts";
import type { Row } from "./rows.ts";
import { assertBatch, copyJson, storable } from "./storable.ts";
import { inOrder, laneProgress, type OperationLane } from "./tables.ts";

const keptMs = 30 * 86_400_000;
const openStatuses: readonly TaskStatus[] = ["Enqueued", "Running", "Retrying", "Stopping"];

export function controlRecords(model: Model): ControlRecords {
  const { tables } = model;

  function progressOf(operation: OperationRecord): OperationProgress {
    const lanes = lanesOf(operation);
    const sum = (count: (lane: OperationLane) => number) => lanes.reduce((total, lane) => total + count(lane), 0);
    return {
      ...copyOf(operation),
      matched: sum(({ matched }) => matched),
      done: sum(({ done }) => done),
      failed: sum(({ failed }) => failed),
      lanesDone: lanes.filter(({ finishedAt }) => finishedAt !== undefined).length,
      lanesTotal: lanes.length,
    };
  }

  function lanesOf({ number }: OperationRecord): OperationLane[] {
    return [...tables.operationLanes.values()].filter((lane) => lane.number === number);
  }

  function openLanesOf(operation: OperationRecord): OpenOperation["openLanes"] {
    const byQueue = new Map<string, number[]>();
    for (const { queue, lane, finishedAt } of lanesOf(operation)) {
      if (finishedAt === undefined) byQueue.set(queue, [...(byQueue.get(queue) ?? []), lane]);
    }
    return [...byQueue]
      .sort(([a], [b]) => inOrder(a, b))
      .map(([queue, lanes]) => ({ queue, lanes: lanes.sort((a, b) => a - b) }));
  }

  function openOperation({ number }: OperationRecord) {
    return [...tables.operations.values()].find(
      (each) => each.number === number && each.cancelledAt === undefined && each.finishedAt === undefined,
    );
  }

  /** Of an operation that has ended none is opened. */
  function openLanes(operation: OperationRecord, rows: readonly Row[]): void {
    if (openOperation(operation) === undefined) return;
    for (const row of rows) laneProgress(tables, operation.number, row).finishedAt = undefined;
  }

  function forgetOld(accountId: AccountId): void {
    for (const operation of tables.operations.values()) {
      const endedAt = operation.finishedAt ?? operation.cancelledAt;
      if (operation.filter.accountId !== accountId || endedAt === undefined) continue;
      if (endedAt >= model.now() - keptMs) continue;
      tables.operations.delete(operation.operationId);
      for (const [key, lane] of tables.operationLanes) {
        if (lane.number === operation.number) tables.operationLanes.delete(key);
      }
    }
  }

  return {
    async pause({ pauseId, target, reason, createdBy }, options = { pausesMax }) {
      const number = ++tables.lastPause;
      const texts = { pauseId: storable(pauseId), reason: storable(reason) };
      const known = tables.pauses.get(texts.pauseId);
      if (known) return copyJson(known);
      if (tables.pauses.size >= options.pausesMax) return undefined;
      const pause = { ...texts, target: copyJson(target), createdBy, number, createdAt: model.now() };
      tables.pauses.set(pause.pauseId, pause);
      return copyJson(pause);
    },
    async resume(pauseId) {
      return tables.pauses.delete(storable(pauseId));
    },
    async pauses(accountId) {
      const all = [...tables.pauses.values()].sort((a, b) => a.number - b.number);
      return all.filter(({ target }) => accountId === undefined || accountOf(target) === accountId).map(copyPause);
    },
    async start({ operationId, kind, filter, createdBy }) {
      forgetOld(filter.accountId);
      const number = ++tables.lastOperation;
      const id = storable(operationId);
      const known = tables.operations.get(id);
      if (known) return progressOf(known);
      const ends = { cancelledAt: undefined, finishedAt: undefined };
      const operation = {
        ...{ operationId: id, kind, filter: copyJson(filter), createdBy, number, createdAt: model.now() },
        ...ends,
      };
      tables.operations.set(id, operation);
      const inUse = new Set(
        [...tables.rows.all()]
          .filter((row) => kind === "delete" || row.endedAt === undefined)
          .map(({ queue }) => queue),
      );
      for (const queue of tables.floors.keys()) {
        if (!inUse.has(queue)) continue;
        for (let lane = 0; lane < laneCount; lane++) laneProgress(tables, number, { queue, lane });
      }
      return progressOf(operation);
    },
    async operation(operationId) {
      const found = tables.operations.get(storable(operationId));
      return found && progressOf(found);
    },
    async operations(accountId, { before, limit }) {
      return [...tables.operations.values()]
        .filter(({ filter, number }) => (accountId === undefined || filter.accountId === accountId) && number < before)
        .sort((a, b) => b.number - a.number)
        .slice(0, limit)
        .map(progressOf);
    },
    async atWork(accountId) {
      return [...tables.operations.values()]
        .filter(
          ({ filter, cancelledAt, finishedAt }) =>
            filter.accountId === accountId && (cancelledAt ?? finishedAt) === undefined,
        )
        .sort((a, b) => a.number - b.number)
        .map(copyOf);
    },
    async cancel(operationId) {
      const found = tables.operations.get(storable(operationId));
      if (found === undefined) return undefined;
      if (found.finishedAt === undefined) found.cancelledAt ??= model.now();
      return progressOf(found);
    },
    async heed() {
      const open = [...tables.operations.values()]
        .filter(({ cancelledAt, finishedAt }) => cancelledAt === undefined && finishedAt === undefined)
        .sort((a, b) => a.number - b.number);
      return {
        pauses: [...tables.pauses.values()].sort((a, b) => a.number - b.number).map(copyPause),
        operations: open.map((operation) => ({ operation: copyOf(operation), openLanes: openLanesOf(operation) })),
      };
    },
    async reopen(record, { after, limit }) {
      assertBatch(limit, "reopen");
      const { kind, filter } = record;
      const statuses = kind === "stop" && filter.status === undefined ? openStatuses : [filter.status];
      const { visited, last } = walk(model, { operation: record, statuses, after, limit });
      const left = visited.filter(selectsFor(record));
      openLanes(record, left);
      return { left: new Set(left.map(({ queue, lane }) => `${queue} ${lane}`)).size, last };
    },
    async finish(record) {
      const operation = openOperation(record);
      const marked = [...tables.rows.all()].filter((row) => row.operation === record.number);
      const isDone = operation !== undefined && marked.length === 0 && openLanesOf(operation).length === 0;
      openLanes(record, marked);
      if (isDone) operation.finishedAt = model.now();
      return isDone;
    },
  };
}

function accountOf(target: PauseTarget): AccountId | undefined {
  if (target.kind === "queue") return undefined;
  return target.kind === "tasks" ? target.filter.accountId : target.accountId;
}

function copyPause(pause: PauseRecord): PauseRecord {
  return copyJson(pause);
}

function copyOf(operation: OperationRecord): OperationRecord {
  return { ...operation, filter: copyJson(operation.filter) };
}
