import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "@sluice/client";
import { eventually } from "@sluice/core/testing";
import { afterAll, expect, test } from "vitest";

const folder = mkdtempSync(join(tmpdir(), "sluice-test-"));
// Started by root, PostgreSQL runs as another user.
chmodSync(folder, 0o711);
const dataDir = join(folder, "data");
const launchers: ChildProcess[] = [];
afterAll(() => {
  for (const launcher of launchers) launcher.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
});

interface Launched {
  readonly launcher: ChildProcess;
  readonly output: () => string;
  readonly pids: readonly number[];
}

/** `npm run cluster`, until it says that it is ready. */
async function launch(): Promise<Launched> {
  const flags = ["--api-servers", "1", "--schedulers", "1", "--agents", "1", "--data-dir", dataDir];
  const launcher = spawn(process.execPath, ["--import", "tsx", join(import.meta.dirname, "main.ts"), ...flags], {
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  launchers.push(launcher);
  let output = "";
  launcher.stdout.on("data", (chunk) => {
    output += String(chunk);
  });
  const isReady = () => output.includes("Sluice is ready");
  await eventually(() => isReady() || launcher.exitCode !== null, { timeoutMs: 100_000 });
  expect(output).toContain("Sluice is ready");
  const { services, backends } = JSON.parse(readFileSync(join(dataDir, "cluster.json"), "utf8")) as Record<
    string,
    readonly { pid: number }[]
  >;
  return { launcher, output: () => output, pids: [...(services ?? []), ...(backends ?? [])].map(({ pid }) => pid) };
}

const living = (pids: readonly number[]) => pids.filter((pid) => existsSync(`/proc/${pid}`));

test("the command starts again on the data of one that was killed, and Ctrl-C ends it in order", async () => {
  const first = await launch();
  expect(living(first.pids)).toHaveLength(6);
  const lines = first.output().split("\n");
  for (const pid of first.pids) expect(lines.filter((line) => line.includes(` pid ${pid} `))).toHaveLength(1);
  const profile = readFileSync(join(dataDir, "client.json"), "utf8");
  first.launcher.kill("SIGKILL");
  await eventually(() => living(first.pids).length === 0, { timeoutMs: 60_000 });

  const second = await launch();
  const { accessKeyId, accessKeySecret } = JSON.parse(profile) as { accessKeyId: string; accessKeySecret: string };
  const { address } = JSON.parse(readFileSync(join(dataDir, "client.json"), "utf8")) as { address: string };
  await using client = connect({ address, accessKeyId, accessKeySecret });
  expect((await client.listPage({})).tasks).toEqual([]);

  second.launcher.kill("SIGINT");
  const [code] = await once(second.launcher, "exit");
  expect([code, living(second.pids)]).toEqual([0, []]);
  for (const service of ["agent-0", "scheduler-0", "api-server-0"]) {
    expect(readFileSync(join(dataDir, "logs", `${service}.log`), "utf8").trimEnd()).toMatch(/"msg":"stopped"\}$/);
  }
  // Two clusters start in it, on a machine that may be busy.
}, 300_000);
