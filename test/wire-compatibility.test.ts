// The protocol may not change so that a service of the last release misunderstands one of this, or the other way round:
// during an upgrade they run side by side. `proto/released.binpb` is the protocol of the last release (docs/upgrade.md).
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const released = join(root, "proto/released.binpb");
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-wire-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What buf has against this protocol, compared with that of the last release; empty: nothing. */
function problemsOf(proto: string): string {
  const args = ["breaking", "--against", released];
  const { status, stdout, stderr } = spawnSync(join(root, "node_modules/.bin/buf"), args, {
    cwd: proto,
    encoding: "utf8",
  });
  if (status === 0) return "";
  expect(stderr).toBe("");
  return stdout;
}

/** A copy of the protocol in which one place of a file reads otherwise. */
function changed(file: string, find: string, replacement: string): string {
  const copy = mkdtempSync(join(folder, "proto-"));
  cpSync(join(root, "proto"), copy, { recursive: true });
  const text = readFileSync(join(copy, file), "utf8");
  expect(text).toContain(find);
  writeFileSync(join(copy, file), text.replace(find, replacement));
  return copy;
}

const agent = "sluice/internal/v1/agent.proto";
const task = "sluice/v1/task.proto";

test("services of the last release and of this one understand each other", () => {
  expect(problemsOf(join(root, "proto"))).toBe("");
});

test.each([
  ["a field", agent, "  string scheduler_id = 4;\n", "  string scheduler_id = 4;\n  // New.\n  int32 colour = 99;\n"],
  [
    "a value",
    agent,
    "  OUTCOME_KIND_EXPIRED = 8;\n",
    "  OUTCOME_KIND_EXPIRED = 8;\n  // New.\n  OUTCOME_KIND_NEW = 99;\n",
  ],
  ["a frame", agent, "    Ping ping = 5;\n", "    Ping ping = 5;\n    // New.\n    Ping pong = 99;\n"],
])("%s may be added", (_what, file, find, replacement) => {
  expect(problemsOf(changed(file, find, replacement))).toBe("");
});

test.each([
  ["a number gets another meaning", agent, "int32 attempt = 2;", "string colour = 2;", 'Field "2"'],
  ["a number gets another name", agent, "int32 attempt = 2;", "int32 colour = 2;", 'Field "2"'],
  ["a field goes, and its number may be used again", agent, "  string scheduler_id = 4;\n", "", 'field "4"'],
  ["a field moves to another number", agent, "int64 retry_after_ms = 6;", "int64 retry_after_ms = 9;", 'field "6"'],
  ["a value goes", agent, "  OUTCOME_KIND_EXPIRED = 8;\n", "", 'enum value "8"'],
  ["one becomes many", task, "string task_id", "repeated string task_id", "cardinality"],
])("it is refused that %s", (_what, file, find, replacement, problem) => {
  expect(problemsOf(changed(file, find, replacement))).toContain(problem);
});
