import { type Epoch, laneCount, lanesOf, type OwnedPartition } from "@sluice/core";
import { gateKey } from "./fence.ts";
import { int8Array } from "./parameters.ts";
import { statement } from "./sql.ts";
import type { Database } from "./sql-store.ts";

/** Index: the primary key of floors. */
export const floorsStatement = statement("floors", "select epochs from floors where queue = $1::text");

export const allFloorsStatement = statement("all_floors", "select queue, epochs from floors order by queue");

/**
 * Index: the primary key of floors. One statement is the whole compare-and-set: on a conflict it locks the row and compares
 * with its newest version, so of two take-overs one waits for the other and then sees its epoch. The gate (`fence.ts`) keeps
 * writers from holding it up for longer than those take that are at work already.
 */
export const raiseFloorStatement = statement(
  "raise_floor",
  `
with gate as materialized (
  select pg_advisory_xact_lock(${gateKey})::text as passed
)
insert into floors as f (queue, epochs) select $1::text, $5::int8[] from gate
on conflict (queue) do update
  set epochs[$2::int4 + 1 : $3::int4] = array_fill($4::int8, array[$3::int4 - $2::int4])
  where $4::int8 > all (f.epochs[$2::int4 + 1 : $3::int4])
returning 1::int4 as raised`,
);

export async function floors(database: Database, queue: string): Promise<readonly Epoch[]> {
  const [row] = await database.sql.query<{ epochs: Epoch[] }>(floorsStatement, [queue]);
  return row?.epochs ?? new Array<Epoch>(laneCount).fill(0);
}

export async function allFloors(database: Database): Promise<ReadonlyMap<string, readonly Epoch[]>> {
  const rows = await database.sql.query<{ queue: string; epochs: Epoch[] }>(allFloorsStatement);
  return new Map(rows.map((row) => [row.queue, row.epochs]));
}

export async function raiseFloor(database: Database, owner: OwnedPartition): Promise<boolean> {
  const { from, until } = lanesOf(owner.prefix);
  const first = Array.from({ length: laneCount }, (_, lane) => (lane >= from && lane < until ? owner.epoch : 0));
  const raised = await database.sql.query(raiseFloorStatement, [
    owner.queue,
    from,
    until,
    owner.epoch,
    int8Array(first),
  ]);
  return raised.length === 1;
}
