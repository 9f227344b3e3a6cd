// What the background processes of a server do. PGlite has none: without checkpoints the write-ahead log grows for ever and
// is replayed at the next start after a kill (150,000 inserts left 160 MB of it, and 1.5 s more to start); without vacuum a
// table never gives space back (100,000 tasks submitted, settled and purged left 139 MB, with it 43 MB), and every scan of
// an index passes over all that is gone.
import { type Sql, statement } from "./sql.ts";

/** A look costs 0.3 ms; between two of them the log grows by a few MB. */
export const requestsBetweenLooks = 100;

/** Takes some 50 ms, during which requests wait. */
const checkpointStatement = statement(
  "upkeep_checkpoint",
  `
select 'checkpoint' as command
from pg_control_checkpoint()
where pg_wal_lsn_diff(pg_current_wal_lsn(), redo_lsn) > 32 * 1024 * 1024`,
);

/** Takes 15 to 200 ms with tables of 100,000 rows. */
const vacuumStatement = statement(
  "upkeep_vacuum",
  `
select 'vacuum ' || quote_ident(relname) as command
from pg_stat_user_tables
where n_dead_tup > 20000 + n_live_tup / 5
order by relname`,
);

export interface UpkeepOptions {
  /**
   * Not in the simulation: the counters on which it depends are brought up to date once a second of real time, and it moves
   * rows, so that rows which are due at the same moment could come in another order the next time.
   */
  readonly vacuum: boolean;
}

/** Must not run inside a transaction. */
export async function upkeep(sql: Sql, options: UpkeepOptions): Promise<void> {
  const commands = await sql.query<{ command: string }>(checkpointStatement);
  if (options.vacuum) commands.push(...(await sql.query<{ command: string }>(vacuumStatement)));
  for (const { command } of commands) await sql.exec(command);
}
