// Ends rows that nobody has started in time: their owner finds them, leaves out what it is at work on, and settles the rest
// by number, thousands at a time.
import type { OwnedPartition, Seq } from "@sluice/core";
import { assertBatch } from "./bounds.ts";
import { addEvents } from "./events.ts";
import { fenceParameters, inLanes, type Owned, ownedRows, readFence, withOwned, writeFence } from "./fence.ts";
import { type EndedRow, type Expired, expiredError, type LaneRecords, type Stale } from "./index.ts";
import { int8Array } from "./parameters.ts";
import { statusCodes } from "./rows.ts";
import { nowSql, statement } from "./sql.ts";
import type { Database } from "./sql-store.ts";

/**
 * Indexes: tasks_waiting, which carries `expires_at`, so that a page of rows that wait costs no look at the table where it was
 * vacuumed (0.3 µs a row); tasks_parked_expiry, of parked rows exactly those that are past it.
 *
 * Nearly every row has an expiry, and nearly none reaches it. An index on it would cost every insert 88 bytes of the log
 * of changes (8 %); the eight bytes that ride along cost it 9, and looking through a million waiting rows takes 0.3 s of the
 * database, spread over as many seconds as the owner likes.
 */
export const expiredStatement = statement(
  "expired_tasks",
  `
with ${readFence},
page as materialized (
  select t.announced_at, t.seq, t.expires_at
  from tasks t
  where exists (select from allowed)
    and ${inLanes("t")} and t.priority = $5::int2 and t.ended_at is null and t.due_at is null
    and (t.announced_at, t.seq) > ($6::int8, $7::int8)
  order by t.announced_at, t.seq
  limit $8::int8
),
parked as (
  select t.seq
  from tasks t
  where exists (select from allowed) and ${inLanes("t")} and t.due_at is not null and t.expires_at is not null
    and t.expires_at <= ${nowSql("$9")} and not t.stop_requested
  order by t.queue, t.expires_at
  limit $8::int8
)
select exists (select from allowed) as owned,
  (select coalesce(array_agg(p.seq), '{}'::int8[]) from page p where p.expires_at <= ${nowSql("$9")}) as waiting,
  (select coalesce(array_agg(p.seq), '{}'::int8[]) from parked p) as parked,
  max(page.announced_at) as announced_at, (array_agg(page.seq))[count(*)] as last, count(*) as looked_at
from page`,
);

const expiredEvent = `jsonb_build_array(jsonb_build_object(
      'status', 'Expired', 'at', ${nowSql("$7")}, 'attempt', t.attempt,
      'detail', jsonb_build_object('type', '${expiredError.type}', 'message', '${expiredError.message}')
    ))`;

/**
 * Index: tasks_seq. Guards in `coalesce` for the reason given at `writeStatement`. One that is marked to be stopped is
 * stopped; one that has started may run on.
 */
export const expireStatement = statement(
  "expire_tasks",
  `
with ${writeFence},
expired as (
  update tasks t set
    status = ${statusCodes.Expired},
    ended_at = ${nowSql("$7")},
    due_at = null,
    park_reason = null,
    started_at = null,
    agent_id = null,
    instance_id = null,
    error = '${JSON.stringify(expiredError)}'::jsonb,
    ${addEvents("t", { events: expiredEvent, count: "1" })}
  from (select seq from unnest($5::int8[]) with ordinality as w (seq, n) order by n) as w
  where exists (select from allowed)
    and t.seq = w.seq and ${inLanes("t")} and coalesce(t.ended_at, 0) = 0 and t.status in (${statusCodes.Enqueued}, ${statusCodes.Retrying})
    and t.expires_at <= ${nowSql("$7")} and not t.stop_requested
    and (coalesce(t.due_at, 0) > 0 or t.stamp >= $6::int8)
  returning t.seq, t.lane, t.attempt
)
${withOwned("expired r", "r.seq, r.lane, r.attempt")}`,
);

interface ExpiredColumns {
  readonly owned: boolean;
  readonly waiting: readonly Seq[];
  readonly parked: readonly Seq[];
  readonly announced_at: number | null;
  readonly last: Seq | null;
  readonly looked_at: number;
}

export async function expired(
  database: Database,
  owner: OwnedPartition,
  { priority, after, limit }: Parameters<LaneRecords["expired"]>[1],
): Promise<Expired | Stale> {
  assertBatch(limit, "expired");
  const parameters = [...fenceParameters(owner), ...[priority, after.announcedAt, after.seq, limit, database.now()]];
  const [row] = await database.sql.query<ExpiredColumns>(expiredStatement, parameters);
  if (row?.owned !== true) return "stale";
  const { announced_at: announcedAt, last: seq } = row;
  const isEnd = row.looked_at < limit || announcedAt === null || seq === null;
  return { seqs: [...row.waiting, ...row.parked], last: isEnd ? undefined : { announcedAt, seq } };
}

export async function expire(
  database: Database,
  owner: OwnedPartition,
  seqs: readonly Seq[],
  { stampMin }: { readonly stampMin: number },
): Promise<EndedRow[] | Stale> {
  assertBatch(seqs, "expire");
  const sorted = [...new Set(seqs)].sort((a, b) => a - b);
  const parameters = [...fenceParameters(owner), int8Array(sorted), stampMin, database.now()];
  const rows = ownedRows(await database.sql.query<Owned<EndedRow>>(expireStatement, parameters), "seq");
  return rows === "stale" ? rows : rows.map(({ seq, lane, attempt }) => ({ seq, lane, attempt }));
}
