import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { type Digest, heaviest, mergeDigests, type StatementDigest } from "./merge.ts";
import { cut, slices } from "./slices.ts";

const kibibyte = 1024;
const taskSlices = slices();

describe("slices", () => {
  test("the recorded log makes at least 200 slices of at most 100 KiB", () => {
    expect(taskSlices.length).toBeGreaterThanOrEqual(200);
    expect(Math.max(...taskSlices.map((slice) => slice.length))).toBeLessThanOrEqual(100 * kibibyte);
  });

  test("joined again they are the log", () => {
    const log = gunzipSync(readFileSync(new URL("log/postgresql.csv.gz", import.meta.url)));

    expect(Buffer.concat(taskSlices).equals(log)).toBe(true);
    expect(Buffer.concat(slices({ bytesMax: 100 * kibibyte })).equals(log)).toBe(true);
  });

  test("each begins with an entry", () => {
    for (const slice of taskSlices) {
      expect(slice.toString("utf8", 0, 60)).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC,/);
    }
  });

  test("a line feed inside a statement is no boundary", () => {
    const log = Buffer.from('1,"a\n2,b ""c""\n"\n2,d\n3,e');

    expect(cut(log, 17).map(String)).toEqual(['1,"a\n2,b ""c""\n"\n', "2,d\n3,e"]);
  });

  test("an entry over the limit is refused, not split", () => {
    expect(() => cut(Buffer.from("a\nlonger\n"), 5)).toThrow("the entry at byte 2 has 7 bytes, over 5");
  });

  test("an empty log has no slices", () => {
    expect(cut(Buffer.alloc(0), 5)).toEqual([]);
  });
});

describe("the Python function and merge", () => {
  // Every eighth slice: enough to meet every kind of entry, few enough for a test on every push.
  const sampled = taskSlices.filter((_, index) => index % 8 === 0);
  const whole = Buffer.concat(sampled);
  const [wholeDigest, ...digests] = digestInPython([whole, ...sampled]);

  test("the digests of the slices add up to the digest of the whole", () => {
    expect(mergeDigests(digests)).toEqual(wholeDigest);
  }, 30_000);

  test("every statement with a duration is a call, every other entry is skipped, none is malformed", () => {
    const merged = mergeDigests(digests);
    // A quote inside a message is doubled, so that this can only be the beginning of one.
    const timed = whole.toString().match(/,"duration: [\d.]+ ms {2}(?:statement|execute [^:]*): /g) ?? [];

    expect(merged.malformed).toBe(0);
    expect(sum(merged.statements, (statement) => statement.calls)).toBe(timed.length);
    expect(merged.entries).toBe(timed.length + merged.skipped);
  });

  test("the many texts of the log are a few statements", () => {
    const statements = mergeDigests(digests).statements.map(({ statement }) => statement);

    expect(statements.length).toBeLessThan(100);
    expect(statements).toContain("update pgbench_accounts set abalance = abalance + ? where aid = ?");
    expect(statements).toContain("select aid, abalance from pgbench_accounts where aid in (...)");
    expect(statements.some((statement) => statement.startsWith("with recent as (select customer_id"))).toBe(true);
  });
});

describe("mergeDigests", () => {
  test("counts and times add, extremes compare, the slowest call is the sample", () => {
    const slow = { totalMs: 0.3, maxMs: 0.2, minMs: 0.1, sample: "slow" };
    const a = aStatement({ ...slow, calls: 2, histogram: { "-14": 1, "-10": 1 } });
    const b = aStatement({ totalMs: 0.1, maxMs: 0.1, minMs: 0.1, sample: "fast", histogram: { "-14": 1 } });

    const merged = mergeDigests([aDigest([a], { skipped: 1 }), aDigest([b], { malformed: 1 })]);

    expect(merged).toEqual({
      entries: 5,
      skipped: 1,
      malformed: 1,
      statements: [aStatement({ ...slow, calls: 3, totalMs: 0.4, histogram: { "-14": 2, "-10": 1 } })],
    });
  });

  test("nothing merged is an empty digest", () => {
    expect(mergeDigests([])).toEqual(aDigest([]));
  });
});

describe("heaviest", () => {
  test("the statements with the most time come first, with their share", () => {
    const digest = aDigest([
      aStatement({ statement: "light", calls: 4, totalMs: 10 }),
      aStatement({ statement: "heavy", calls: 2, totalMs: 30 }),
      aStatement({ statement: "none", totalMs: 0 }),
    ]);

    const top = heaviest(digest, 2);

    expect(top.map(({ statement, meanMs, share }) => [statement, meanMs, share])).toEqual([
      ["heavy", 15, 0.75],
      ["light", 2.5, 0.25],
    ]);
  });

  test("the 95th percentile lies in the bucket of the call at that rank, and never beyond the extremes", () => {
    const p95Ms = (statement: Partial<StatementDigest>) => heaviest(aDigest([aStatement(statement)]), 1)[0]?.p95Ms;

    expect(p95Ms({ calls: 100, minMs: 1, maxMs: 99, histogram: { "0": 94, "12": 5, "26": 1 } })).toBeCloseTo(8.72, 2);
    expect(p95Ms({ calls: 100, minMs: 1, maxMs: 99, histogram: { "0": 95, "26": 5 } })).toBeCloseTo(1.09, 2);
    expect(p95Ms({ calls: 1, minMs: 8.1, maxMs: 8.1, histogram: { "12": 1 } })).toBe(8.1);
  });
});

/** The handler's answers to these events, all from one Python process. */
function digestInPython(events: readonly Buffer[]): Digest[] {
  const program = [
    "import base64, json, sys",
    "from index import handler",
    "print(json.dumps([handler(base64.b64decode(line), None) for line in sys.stdin]))",
  ].join("\n");
  const answer = execFileSync("python3", ["-B", "-c", program], {
    cwd: new URL("function", import.meta.url),
    input: events.map((event) => `${event.toString("base64")}\n`).join(""),
    maxBuffer: 256 * kibibyte * kibibyte,
  });
  return JSON.parse(answer.toString()) as Digest[];
}

function aStatement(fields: Partial<StatementDigest> = {}): StatementDigest {
  const times = { totalMs: 1, maxMs: 1, minMs: 1 };
  return { statement: "select ?", calls: 1, ...times, sample: "select 1", histogram: {}, ...fields };
}

function aDigest(statements: readonly StatementDigest[], fields: Partial<Digest> = {}): Digest {
  const counts = { skipped: 0, malformed: 0, ...fields };
  const entries = sum(statements, ({ calls }) => calls) + counts.skipped + counts.malformed;
  return { ...counts, entries, statements };
}

function sum<T>(items: readonly T[], amount: (item: T) => number): number {
  return items.reduce((total, item) => total + amount(item), 0);
}
