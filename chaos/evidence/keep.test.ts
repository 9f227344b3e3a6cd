import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TaskId } from "@sluice/core";
import { afterAll, expect, test } from "vitest";
import type { Arena } from "../contract.ts";
import { judge } from "./judge.ts";
import { keepIn } from "./keep.ts";
import { aLife, anEvidence, anExecution, aRecord, aRow } from "./testing.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("a failed run leaves the logs, and what is known of the tasks that broke something and of no other", async () => {
  const kept = await keep(
    anEvidence({
      submissions: [aRecord(), aRecord({ taskId: "short-2" })],
      history: {
        rows: [aRow({ status: "Running", endedAt: undefined }), aRow({ seq: 2, taskId: TaskId("short-2") })],
        executions: [anExecution(), anExecution({ seq: 2 })],
        lives: [aLife({ incarnation: () => 7 })],
      },
    }),
  );
  expect(readFileSync(join(kept, "logs", "scheduler-0.log"), "utf8")).toBe("it stepped down\n");
  const { violations, rows, executions, submissions, lives } = JSON.parse(
    readFileSync(join(kept, "evidence.json"), "utf8"),
  );
  expect(violations).toEqual([expect.objectContaining({ invariant: "I1", seq: 1 })]);
  expect(rows).toEqual([expect.objectContaining({ seq: 1, taskId: "short-1" })]);
  expect(executions).toEqual([expect.objectContaining({ seq: 1 })]);
  expect(submissions).toEqual([expect.objectContaining({ taskId: "short-1" })]);
  expect(lives).toEqual([expect.objectContaining({ agentId: "agent-0", incarnation: 7 })]);
});

test("a run without evidence leaves the logs, and what it noted", async () => {
  const kept = await keep(undefined);
  expect(readFileSync(join(kept, "logs", "scheduler-0.log"), "utf8")).toBe("it stepped down\n");
  expect(JSON.parse(readFileSync(join(kept, "evidence.json"), "utf8"))).toEqual({ violations: [], marks: [] });
});

test("what an earlier run of the scenario has left is replaced", async () => {
  const kept = await keep(anEvidence());
  writeFileSync(join(kept, "logs", "agent-9.log"), "");
  expect(await keep(anEvidence())).toBe(kept);
  expect(existsSync(join(kept, "logs", "agent-9.log"))).toBe(false);
  expect(existsSync(join(kept, "logs", "scheduler-0.log"))).toBe(true);
});

function keep(evidence: ReturnType<typeof anEvidence> | undefined): Promise<string> {
  const dataDir = join(folder, "cluster");
  mkdirSync(join(dataDir, "logs"), { recursive: true });
  writeFileSync(join(dataDir, "logs", "scheduler-0.log"), "it stepped down\n");
  const violations = evidence ? judge(evidence, []).violations : [];
  const cluster = { dataDir } as Arena["cluster"];
  return keepIn(join(folder, "out"))({ cluster }, { scenario: "scheduler-kill", violations, marks: [] }, evidence);
}
