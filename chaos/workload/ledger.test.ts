import { spawnSync } from "node:child_process";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { LedgerParser, openLedger } from "./ledger.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

const ns = (ms: number) => BigInt(ms) * 1_000_000n;
const start = (ms: number, { seq = 7, attempt = 1, instance = "i1", number = 1 } = {}) =>
  `start red short-1 ${seq} ${attempt} 42 agent-0 ${instance} ${number} 4711 ${ns(ms)}\n`;
const tick = (ms: number, instance = "i1") => `tick ${instance} ${ns(ms)}\n`;
const end = (ms: number, how = "ok", number = 1) => `end i1 ${number} ${how} ${ns(ms)}\n`;

function parse(...pieces: readonly string[]): LedgerParser {
  const parser = new LedgerParser(0n);
  for (const piece of pieces) parser.add(piece);
  return parser;
}

test("an execution has what its start says, and ends where its end says", () => {
  const { executions, problems } = parse(start(1_000), tick(1_100), end(1_150, "failed"));
  expect(executions).toEqual([
    {
      account: "red",
      taskId: "short-1",
      seq: 7,
      attempt: 1,
      epoch: 42,
      agentId: "agent-0",
      instanceId: "i1",
      pid: 4_711,
      startedAt: 1_000,
      seenAt: 1_150,
      how: "failed",
    },
  ]);
  expect(problems).toEqual([]);
});

test("an execution whose process died was last seen at its last tick", () => {
  const { executions } = parse(
    start(1_000),
    tick(1_100),
    tick(1_200),
    start(5_000, { instance: "i2" }),
    tick(5_100, "i2"),
  );
  expect(executions.map(({ seenAt, how }) => [seenAt, how])).toEqual([
    [1_200, undefined],
    [5_100, undefined],
  ]);
});

test("a tick is of everything that its process runs, and of nothing that has ended", () => {
  const parser = parse(start(1_000), start(1_010, { number: 2, seq: 8 }), end(1_050), tick(1_100));
  expect(parser.executions.map(({ seenAt }) => seenAt)).toEqual([1_050, 1_100]);
  expect(parser.running(1_200).map(({ seq }) => seq)).toEqual([8]);
  expect(parser.running(9_000)).toEqual([]);
});

test("the same attempt, run twice, is two executions", () => {
  expect(parse(start(1_000), start(2_000, { number: 2 })).executions).toHaveLength(2);
});

test("lines may come in any pieces", () => {
  const text = start(1_000) + tick(1_100) + end(1_150);
  const { executions, problems } = parse(...text);
  expect([executions[0]?.how, problems]).toEqual(["ok", []]);
});

test("a line that makes no sense is told", () => {
  const lines = [
    "start red\n",
    "end i9 1 ok 5\n",
    "tick i9 5\n",
    "stop i1 1 5\n",
    end(9, "well"),
    start(1).replace("42", "x"),
  ];
  expect(parse(...lines).problems).toHaveLength(lines.length);
});

test("a file is read on from where it ended", () => {
  const path = join(folder, "tail");
  writeFileSync(path, start(1_000));
  using ledger = openLedger(path, 0n);
  ledger.read();
  expect(ledger.executions).toHaveLength(1);
  appendFileSync(path, end(1_500) + start(2_000, { number: 2 }).slice(0, 20));
  ledger.read();
  appendFileSync(path, start(2_000, { number: 2 }).slice(20));
  ledger.read();
  expect(ledger.executions.map(({ seenAt, how }) => [seenAt, how])).toEqual([
    [1_500, "ok"],
    [2_000, undefined],
  ]);
});

/** Runs the real handler as an agent would, and returns what it answered and wrote. */
function handle(input: object, { attempt = 1, stopAfterMs = -1 } = {}) {
  const path = join(folder, "handled");
  writeFileSync(path, "");
  const context = {
    accountId: "red",
    taskId: "short-1",
    attempt,
    requestId: "1-65920080-000000000000001f00000002",
    fenceToken: "000002-0000000000000042",
  };
  const script = `
    const { handler } = require(${JSON.stringify(join(import.meta.dirname, "handler/index.cjs"))});
    const abort = new AbortController();
    if (${stopAfterMs} >= 0) setTimeout(() => abort.abort(), ${stopAfterMs});
    handler(Buffer.from(process.argv[1]), { ...${JSON.stringify(context)}, signal: abort.signal })
      .then((result) => console.log(result), (error) => console.log("error: " + error.message));`;
  const payload = JSON.stringify({ account: "red", taskId: "short-1", ms: 1, failures: 0, crashes: 0, ...input });
  const env = { PATH: process.env["PATH"], LEDGER: path, FC_INSTANCE_ID: "i1", TMPDIR: "/data/agents/agent-2/work/i1" };
  const { stdout, status } = spawnSync(process.execPath, ["-e", script, payload], { env, encoding: "utf8" });
  const { executions, problems } = parse(readFileSync(path, "latin1"));
  expect(problems).toEqual([]);
  return { answer: stdout.trim(), status, executions };
}

test("the handler tells what runs it, and answers with task and attempt", () => {
  const { answer, executions } = handle({ ms: 250 });
  expect(answer).toBe("31#1");
  expect(executions).toMatchObject([
    { account: "red", taskId: "short-1", seq: 31, epoch: 42, agentId: "agent-2", how: "ok" },
  ]);
  const [{ startedAt, seenAt } = { startedAt: 0, seenAt: 0 }] = executions;
  expect(seenAt - startedAt).toBeGreaterThanOrEqual(249);
});

test("the handler fails, crashes and stops as it is told to", () => {
  expect(handle({ failures: 1 })).toMatchObject({
    answer: "error: fails as it was told to",
    executions: [{ how: "failed" }],
  });
  expect(handle({ failures: 1 }, { attempt: 2 }).executions).toMatchObject([{ how: "ok" }]);
  expect(handle({ crashes: 1 })).toMatchObject({ status: 3, answer: "", executions: [{ how: "crashed" }] });
  expect(handle({ ms: 60_000 }, { stopAfterMs: 20 })).toMatchObject({
    answer: "error: stopped",
    executions: [{ how: "stopped" }],
  });
});

test("the handler refuses the input of another task", () => {
  expect(handle({ account: "blue" })).toMatchObject({
    answer: "error: got the input of blue/short-1",
    executions: [{ how: "failed" }],
  });
});
