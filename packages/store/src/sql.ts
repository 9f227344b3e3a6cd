// What the store needs of a database connection. Behind it stand PGlite (`pglite.ts`, one connection) and a pool of PostgreSQL
// connections (`postgres.ts`); so nothing here may assume that two statements run on the same connection, unless they run in
// one `transaction`.

/** A statement with a stable name: drivers prepare it once per connection under that name. */
export interface Statement {
  /** At most 60 characters; unique per text. Empty: do not keep it prepared. */
  readonly name: string;
  readonly text: string;
}

/**
 * A parameter. Numbers, booleans and strings travel as text; a `Uint8Array` travels in the binary format of its type:
 * raw bytes for `bytea`, and for arrays what `parameters.ts` makes. Every `$n` in a statement carries a cast.
 */
export type Parameter = string | number | boolean | Uint8Array | null;

/**
 * Columns read back as: int2, int4, int8 -> number; bool -> boolean; text -> string; bytea -> Uint8Array of its own;
 * jsonb -> the parsed value; int8[] -> number[]; SQL null -> null.
 */
export interface Sql {
  /** One statement, one round trip, its own transaction unless it runs inside one. `Row` is what its columns are. */
  query<Row>(statement: Statement, parameters?: readonly Parameter[]): Promise<Row[]>;
  /** A script of many statements without parameters, such as a migration. */
  exec(script: string): Promise<void>;
  /** Commits when `work` resolves, rolls back when it rejects. Isolation: read committed. */
  transaction<Result>(work: (sql: Sql) => Promise<Result>): Promise<Result>;
}

/** A connection (or pool) that somebody has to close. */
export interface SqlConnection extends Sql, AsyncDisposable {}

export function statement(name: string, text: string): Statement {
  return { name, text };
}

/**
 * Settings of every session. All statements of the store are small look-ups by key or bounded walks along an index, so
 * the planner may not choose by statistics, which are missing in a fresh database and stale in a growing one:
 * - without sequential scans, hash and merge joins an update that joins `unnest` stays a nested loop over its index
 *   (a plan made when the table was empty was 80 times slower on a full one);
 * - without bitmap scans and sorts, `order by … limit` walks the index that has this order instead of sorting a range;
 * - a generic plan is made once per statement and connection instead of at every call.
 * "off" means "only if there is no other way". The conformance suite checks the plans.
 */
export const sessionSettings: Readonly<Record<string, string>> = {
  enable_seqscan: "off",
  enable_hashjoin: "off",
  enable_mergejoin: "off",
  enable_bitmapscan: "off",
  enable_sort: "off",
  enable_incremental_sort: "off",
  jit: "off",
  plan_cache_mode: "force_generic_plan",
  default_transaction_isolation: "'read committed'",
  timezone: "'UTC'",
};

/** `sessionSettings` as a script. */
export function sessionScript(): string {
  return Object.entries(sessionSettings)
    .map(([name, value]) => `set ${name} = ${value};`)
    .join("\n");
}

/**
 * The time authority, as an SQL expression over the parameter that carries the injected clock's time: that time in the
 * simulation, and otherwise (null) the database's clock, which is the same for every service. Milliseconds, bigint;
 * stable within a statement, so an index can use it.
 */
export function nowSql(parameter: string): string {
  return `coalesce(${parameter}::int8, floor(extract(epoch from statement_timestamp()) * 1000)::int8)`;
}
