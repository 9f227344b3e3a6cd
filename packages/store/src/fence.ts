// The fence around everything that an owner does with rows: its epoch must equal the floor of each of its lanes.
//
// Writes lock the queue's floor row `for share`, and compare afterwards. Why this form is right on many connections
// (isolation: read committed):
// - A take-over updates the floor row, which conflicts with the share lock. So a write holds the lock until it commits and
//   the take-over waits for it, or the write waits for the take-over. There is no third order.
// - A write that waited gets the row's newest version from the lock itself, not the one of its snapshot, and the comparison
//   runs over what the lock returned: `locked` is a materialized step of its own, so the planner cannot move the comparison
//   below it. (As a condition of the locking select itself it would first be tried on the snapshot's version, without a
//   lock: an owner whose take-over committed after the snapshot would look stale. And if it failed there, nothing would be
//   locked.)
// - The rows that are written are chosen by the statement's snapshot, which may be older than the lock. That is safe: each
//   guard is evaluated again on the newest version of a row that changed meanwhile, and a row that the snapshot does not
//   show is a row that nobody else may write while the floor equals my epoch.
// - No row of `tasks` is locked before the floor row: a tuple reaches the update only after it passed `exists (allowed)`.
//
// Before the row comes the gate, which adds nothing to this but fairness. A row that is share-locked may be share-locked by
// others while somebody waits to update it: with 8 writers of other lanes at work, a take-over waited for up to 9 s. At an
// advisory lock they queue up: a take-over waits for the writes that run, and those that come after it wait for the take-over.
// The row lock sits on top of the join with the gate, so it is taken after it.
//
// Reads take no lock: floor and rows come from one snapshot, so the rows are as they were at a moment when the floor
// equalled the epoch. A lock would say the same of a later moment, which has passed, too, when the answer arrives; it
// would cost a write to the floor row at every read.
import { type Epoch, lanesOf, type OwnedPartition } from "@sluice/core";

/** `$1` queue, `$2` first lane, `$3` the lane behind the last one, `$4` epoch: the first parameters of fenced statements. */
export function fenceParameters(owner: OwnedPartition): [string, number, number, Epoch] {
  const { from, until } = lanesOf(owner.prefix);
  return [owner.queue, from, until, owner.epoch];
}

/** The advisory lock of queue `$1`: owners that write share it, one that takes over has it alone. */
export const gateKey = "hashtextextended('floor ' || $1::text, 0)";

/** Steps of a `with`: afterwards `allowed` has a row only if the owner may write. */
export const writeFence = `
gate as materialized (
  select pg_advisory_xact_lock_shared(${gateKey})::text as passed
),
locked as materialized (
  select f.epochs from gate, floors f where f.queue = $1::text for share of f
),
allowed as materialized (
  select from locked where $4::int8 = all (epochs[$2::int4 + 1 : $3::int4])
)`;

/** The same for statements that only read. */
export const readFence = `
allowed as materialized (
  select from floors where queue = $1::text and $4::int8 = all (epochs[$2::int4 + 1 : $3::int4])
)`;

/** Condition: the row lies in a lane of the owner. */
export function inLanes(table: string): string {
  return `${table}.queue = $1::text and ${table}.lane >= $2::int2 and ${table}.lane < $3::int2`;
}

/**
 * Condition: the row lies in a lane of the owner, and its number is above the parameter `after`. To be used with
 * `order by queue, seq`: `queue = $1` would make the queue constant and the order one of numbers, which tasks_seq has as
 * well, and a plan that was made while the table was small would walk every row there ever was. With `<=` only the index
 * on (queue, seq) fits.
 */
export function inLanesBehind(table: string, after: string): string {
  const behind = `(${table}.queue, ${table}.seq) > ($1::text, ${after}::int8) and ${table}.queue <= $1::text`;
  return `${behind} and ${table}.lane >= $2::int2 and ${table}.lane < $3::int2`;
}

/** The rows of `source`, each with `owned`; one row of nulls if there are none, so that `owned` always arrives. */
export function withOwned(source: string, columns: string): string {
  return `select o.owned, ${columns} from (select exists (select from allowed) as owned) o left join ${source} on true`;
}

/** What `withOwned` answers. */
export type Owned<Row> = { readonly owned: boolean } & (Row | { readonly [Name in keyof Row]: null });

/** The rows of an answer of `withOwned`. `key`: a column that is never null in a row. */
export function ownedRows<Row extends object>(answer: readonly Owned<Row>[], key: keyof Row): Row[] | "stale" {
  if (answer[0]?.owned !== true) return "stale";
  return answer.filter((row) => row[key] !== null) as unknown as Row[];
}
