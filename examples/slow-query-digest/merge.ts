/** What function/index.py answers for one slice, and what the answers for all slices add up to. */
export interface Digest {
  /** All entries: those counted as calls below, plus `skipped`, plus `malformed`. */
  readonly entries: number;
  /** Sound entries without a statement and its duration: errors, checkpoints, connections, parse and bind steps. */
  readonly skipped: number;
  /** Entries that could not be read. */
  readonly malformed: number;
  /** The heaviest first. */
  readonly statements: readonly StatementDigest[];
}

export interface StatementDigest {
  /** The normal form: literals are `?`, lists are `...`. */
  readonly statement: string;
  readonly calls: number;
  readonly totalMs: number;
  readonly maxMs: number;
  readonly minMs: number;
  /** The slowest call as it was logged, cut at 400 characters. */
  readonly sample: string;
  /** Calls by bucket; bucket b holds durations from 2^(b/4) to 2^((b+1)/4) ms. */
  readonly histogram: Readonly<Record<string, number>>;
}

export interface HeavyStatement {
  readonly statement: string;
  readonly sample: string;
  readonly calls: number;
  readonly totalMs: number;
  readonly meanMs: number;
  /** Read from the histogram: at most 9 % off. */
  readonly p95Ms: number;
  readonly maxMs: number;
  /** The statement's part of the time of all statements, 0 to 1. */
  readonly share: number;
}

/** Adds digests up. The order of the digests does not matter, except for which of equally slow calls is the sample. */
export function mergeDigests(digests: Iterable<Digest>): Digest {
  let entries = 0;
  let skipped = 0;
  let malformed = 0;
  const statements = new Map<string, StatementDigest>();
  for (const digest of digests) {
    entries += digest.entries;
    skipped += digest.skipped;
    malformed += digest.malformed;
    for (const next of digest.statements) {
      const known = statements.get(next.statement);
      statements.set(next.statement, known ? mergeStatements(known, next) : next);
    }
  }
  return { entries, skipped, malformed, statements: [...statements.values()].sort(byWeight) };
}

/** The statements that took the most time altogether. */
export function heaviest(digest: Digest, count: number): HeavyStatement[] {
  const allMs = digest.statements.reduce((sum, statement) => sum + statement.totalMs, 0);
  return [...digest.statements]
    .sort(byWeight)
    .slice(0, count)
    .map((statement) => ({
      statement: statement.statement,
      sample: statement.sample,
      calls: statement.calls,
      totalMs: statement.totalMs,
      meanMs: statement.totalMs / statement.calls,
      p95Ms: percentile(statement, 0.95),
      maxMs: statement.maxMs,
      share: allMs === 0 ? 0 : statement.totalMs / allMs,
    }));
}

function mergeStatements(a: StatementDigest, b: StatementDigest): StatementDigest {
  const histogram: Record<string, number> = { ...a.histogram };
  for (const [bucket, calls] of Object.entries(b.histogram)) histogram[bucket] = (histogram[bucket] ?? 0) + calls;
  return {
    statement: a.statement,
    calls: a.calls + b.calls,
    totalMs: toMicroseconds(a.totalMs + b.totalMs),
    maxMs: Math.max(a.maxMs, b.maxMs),
    minMs: Math.min(a.minMs, b.minMs),
    sample: b.maxMs > a.maxMs ? b.sample : a.sample,
    histogram,
  };
}

/** Durations are logged in whole microseconds. Rounding after every addition keeps sums exact in whatever order. */
function toMicroseconds(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

/** Code units, not a locale, break ties: the order must be the same on every machine. */
function byWeight(a: StatementDigest, b: StatementDigest): number {
  if (a.totalMs !== b.totalMs) return b.totalMs - a.totalMs;
  return a.statement < b.statement ? -1 : 1;
}

/** The middle, on the log scale, of the bucket that holds the call at this rank; the extremes are known exactly. */
function percentile(statement: StatementDigest, fraction: number): number {
  const buckets = Object.entries(statement.histogram)
    .map(([bucket, calls]) => ({ bucket: Number(bucket), calls }))
    .sort((a, b) => a.bucket - b.bucket);
  let callsLeft = Math.ceil(statement.calls * fraction);
  for (const { bucket, calls } of buckets) {
    callsLeft -= calls;
    if (callsLeft <= 0) return Math.min(Math.max(2 ** ((bucket + 0.5) / 4), statement.minMs), statement.maxMs);
  }
  return statement.maxMs;
}
