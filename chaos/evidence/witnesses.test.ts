// What the harness sees of the services while it breaks them: lives of agents, and counters.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { AgentWatch, fencesIn, livesFrom } from "./agent-lives.ts";
import { Counters } from "./counters.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

const wallStart = Date.UTC(2026, 0, 1);
const line = (at: number, msg: string, fields: object = {}) =>
  JSON.stringify({ level: "info", time: new Date(wallStart + at).toISOString(), service: "agent", ...fields, msg });
const registered = (at: number, incarnation: number) =>
  line(at, "agent registered", { agentId: "agent-0", incarnation, recovered: 0 });

/** An agent with this log, whose process and row can be changed. */
function watched(log: readonly string[]) {
  const logFile = join(folder, "agent-0.log");
  writeFileSync(logFile, `${log.join("\n")}\n`);
  const state = {
    now: 0,
    pid: 100 as number | undefined,
    rows: [{ agentId: "agent-0", incarnation: 1, fenced: false }],
  };
  const watch = new AgentWatch({
    agents: () => [{ name: "agent-0", pid: state.pid, logFile }],
    rows: async () => state.rows,
    now: () => state.now,
  });
  const lookAt = async (now: number) => {
    state.now = now;
    watch.lookAtProcesses();
    await watch.lookAtRows();
  };
  return { state, lookAt, watch, lives: () => watch.lives(wallStart).map(({ upAt, downAt }) => [upAt, downAt]) };
}

test("an agent whose process and row stay lives on", async () => {
  const { lookAt, lives } = watched(["Ready.", line(5, "agent starts"), registered(10, 1)]);
  await lookAt(20);
  await lookAt(70);
  expect(lives()).toEqual([[10, undefined]]);
});

test("a process that is gone, or another one, ended after it was seen last", async () => {
  const { state, lookAt, lives } = watched([registered(10, 1), registered(500, 2)]);
  await lookAt(20);
  await lookAt(70);
  state.pid = 200;
  await lookAt(120);
  expect(lives()).toEqual([
    [10, 70],
    [500, undefined],
  ]);
});

test("an incarnation is gone when it is fenced, replaced or declared dead, though its process goes on", async () => {
  for (const rows of [
    [{ agentId: "agent-0", incarnation: 1, fenced: true }],
    [{ agentId: "agent-0", incarnation: 2, fenced: false }],
    [],
  ]) {
    const { state, lookAt, lives, watch } = watched([registered(10, 1)]);
    await lookAt(20);
    await lookAt(70);
    state.rows = rows;
    await lookAt(120);
    await lookAt(170);
    expect(lives()[0]).toEqual([10, 70]);
    expect(watch.lives(wallStart)[0]?.seenDownAt).toBe(120);
  }
});

test("an agent that gives itself up says so in its log", async () => {
  const { lookAt, lives } = watched([
    registered(10, 1),
    line(300, "a new incarnation of the agent starts"),
    registered(400, 2),
  ]);
  await lookAt(20);
  expect(lives()).toEqual([
    [10, 300],
    [400, undefined],
  ]);
});

test("an agent without a log lives from when the store has it", async () => {
  const { state, lookAt, lives } = watched([registered(10, 1)]);
  await lookAt(20);
  state.rows = [...state.rows, { agentId: "herd-1", incarnation: 1, fenced: false }];
  await lookAt(70);
  expect(lives()).toEqual([
    [10, undefined],
    [20, undefined],
  ]);
});

test("an agent that shares its log with others says there that it gives itself up", () => {
  const log = [
    line(300, "the agent is fenced and kills everything", { agentId: "herd-1", reason: "SILENCE" }),
    line(400, "something else", { agentId: "herd-2" }),
    "",
  ].join("\n");
  expect(fencesIn(log, wallStart)).toEqual([{ agentId: "herd-1", at: 300 }]);
});

test("agents do not end each other", () => {
  const one = { agentId: "agent-0", incarnation: 1, at: 0 };
  const other = { agentId: "agent-1", incarnation: 2, at: 5 };
  const lives = livesFrom({ beginnings: [one, other], endings: [{ agentId: "agent-1", at: 9 }], gone: [] });
  expect(lives.map(({ agentId, downAt }) => [agentId, downAt])).toEqual([
    ["agent-0", undefined],
    ["agent-1", 9],
  ]);
});

test("counters are summed over labels, services and lives", () => {
  const page = (settled: number, failed: number, memory: number) =>
    [
      "# HELP sluice_settled_total x",
      "# TYPE sluice_settled_total counter",
      `sluice_settled_total{status="Succeeded"} ${settled}`,
      `sluice_settled_total{status="Failed, \\"so\\" {1}"} ${failed}`,
      "# TYPE handles_total gauge",
      `handles_total ${memory}`,
      "# TYPE lag_seconds histogram",
      `lag_seconds_count 4`,
      "",
    ].join("\n");
  const counters = new Counters(() => []);
  counters.take("scheduler-0", page(5, 1, 90));
  counters.take("scheduler-1", page(100, 0, 90));
  counters.take("scheduler-0", page(7, 1, 10));
  counters.take("scheduler-0", page(2, 0, 10));
  expect(counters.sums()).toEqual({ sluice_settled_total: 7 + 1 + 2 + 100 });
});
