// The guarded writes of owners, one after the other: what one changes, the guard of the next one sees.
import { assert, lanesOf, type OwnedPartition } from "@sluice/core";
import { expiredError, type ParkWrite, type SettleWrite, type TaskWrite } from "@sluice/store";
import { addEvents } from "./events.ts";
import type { Model } from "./model-store.ts";
import type { Row } from "./rows.ts";
import { cleaned, copyJson } from "./storable.ts";

/** Whether each guard held. */
export function writeAll(model: Model, owner: OwnedPartition, writes: readonly TaskWrite[]): boolean[] {
  for (const write of writes) {
    assert(write.kind !== "park" || write.nextAttempt >= write.attempt, "an attempt never goes down");
  }
  return writes.map((write) => writeOne(model, owner, write));
}

function writeOne(model: Model, owner: OwnedPartition, write: TaskWrite): boolean {
  const { rows } = model.tables;
  const row = rows.bySeq(write.seq);
  if (row === undefined || !holds(row, owner, write)) return false;
  switch (write.kind) {
    case "settle":
      settle(row, write, model.now());
      rows.close(row);
      return true;
    case "park":
      park(row, write);
      if (write.moveTo !== undefined) rows.move(row, write.moveTo);
      return true;
    case "running":
      row.status = "Running";
      row.startedAt = write.startedAt;
      row.agentId = cleaned(write.agentId);
      row.instanceId = cleaned(write.instanceId);
      if (write.progress !== undefined) row.progress = cleaned(write.progress);
      return true;
  }
}

/** Of a row that has not started in time. */
export function expireRow(model: Model, row: Row): void {
  const now = model.now();
  const { type, message } = expiredError;
  const event = { status: "Expired", at: now, attempt: row.attempt, detail: { type, message } } as const;
  const none = {
    dueAt: undefined,
    parkReason: undefined,
    startedAt: undefined,
    agentId: undefined,
    instanceId: undefined,
  };
  Object.assign(row, { ...none, status: "Expired", endedAt: now, error: expiredError });
  addEvents(row, [event]);
  model.tables.rows.close(row);
}

function holds(row: Row, owner: OwnedPartition, write: TaskWrite): boolean {
  const { kind, attempt, lane } = write;
  const { from, until } = lanesOf(owner.prefix);
  const isMine = row.queue === owner.queue && row.lane >= from && row.lane < until;
  const isMoved = kind === "park" && write.moveTo !== undefined && row.parkReason === "overflow";
  const isOpen = row.endedAt === undefined && (kind === "settle" || row.dueAt === undefined || isMoved);
  const isAsRead = kind !== "park" || write.announcedAt === undefined || row.announcedAt === write.announcedAt;
  return isMine && isOpen && isAsRead && row.attempt === attempt && row.lane === lane;
}

function settle(row: Row, write: SettleWrite, now: number): void {
  row.status = write.status;
  row.endedAt = now;
  row.dueAt = undefined;
  row.parkReason = undefined;
  row.result = new Uint8Array(write.result);
  row.error = copyJson(write.error, cleaned);
  row.startedAt = write.startedAt;
  row.agentId = write.agentId && cleaned(write.agentId);
  row.instanceId = write.instanceId && cleaned(write.instanceId);
  addEvents(row, copyJson(write.events, cleaned));
}

/** Keeps what is known of the last attempt, but for the progress of an attempt that is over. */
function park(row: Row, write: ParkWrite): void {
  row.status = write.status;
  row.dueAt = write.dueAt;
  row.parkReason = write.reason;
  if (write.error !== undefined) row.error = copyJson(write.error, cleaned);
  if (write.nextAttempt > row.attempt) row.progress = undefined;
  row.attempt = write.nextAttempt;
  row.retries = write.retries;
  row.lostAttempts = write.lostAttempts;
  addEvents(row, copyJson(write.events, cleaned));
}
