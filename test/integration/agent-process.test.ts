// An agent in a process of its own beside the embedded one: joined over gRPC, killed, and started again.
import { type ChildProcess, spawn } from "node:child_process";
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { functionZip } from "./function-zip.ts";
import { preparedDataDir, startStandalone } from "./standalone-process.ts";

const main = join(import.meta.dirname, "../../packages/agent/src/main.ts");

/** Starts an agent and waits until it serves. */
async function startAgent(folder: string, apiServer: string, joinToken: string): Promise<ChildProcess> {
  const flags = [
    "--agent-id",
    "second",
    "--api-servers",
    apiServer,
    "--port",
    "0",
    "--http-port",
    "0",
    "--data-dir",
    folder,
  ];
  const child = spawn(process.execPath, ["--import", "tsx", main, ...flags], {
    stdio: ["ignore", "pipe", "ignore"],
    env: { ...process.env, SLUICE_JOIN_TOKEN: joinToken },
  });
  const output = await new Promise<string>((resolve) =>
    child.stdout?.once("data", (chunk: Buffer) => resolve(chunk.toString())),
  );
  const url = /http\S+/.exec(output)?.[0] ?? "";
  while ((await fetch(url)).status !== 200) await new Promise((resolve) => setTimeout(resolve, 20));
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await exited;
}

const handler = `
const { appendFileSync } = require("node:fs");
exports.handler = async (event, context) => {
  appendFileSync(process.env.LEDGER, "start " + context.taskId + " " + context.attempt + "\\n");
  await new Promise((resolve) => setTimeout(resolve, Number(event.toString())));
  appendFileSync(process.env.LEDGER, "end " + context.taskId + " " + context.attempt + "\\n");
};`;

test("an agent that is killed and started again loses only what it had accepted and not ended, and that runs again", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-test-"));
  const ledger = join(folder, "ledger");
  appendFileSync(ledger, "");
  const agents: ChildProcess[] = [];
  const lines = () => readFileSync(ledger, "utf8").split("\n").filter(Boolean);
  try {
    // The embedded agent runs two attempts at a time, so the second one gets most of them.
    const dataDir = await preparedDataDir(folder);
    await using server = await startStandalone(dataDir, ["--slots", "2"]);
    const { joinToken } = JSON.parse(readFileSync(join(dataDir, "agent.json"), "utf8")) as { joinToken: string };
    const second = await startAgent(join(folder, "second"), server.profile.address, joinToken);
    agents.push(second);
    await using client = server.client();
    const settings = {
      runtime: "nodejs20",
      handler: "index.handler",
      instanceConcurrency: 4,
      environment: { LEDGER: ledger },
    };
    await client.functions.deploy({ name: "work", settings, codeZip: await functionZip({ "index.js": handler }) });
    const ids = Array.from({ length: 24 }, (_, n) => `t${n}`);
    for (const taskId of ids) await client.submit({ function: "work", taskId, payload: "1500" });
    const running = async () => (await client.listPage({ function: "work", status: "Running", pageSize: 100 })).tasks;
    while (!(await running()).some(({ agentId }) => agentId === "second"))
      await new Promise((resolve) => setTimeout(resolve, 50));

    await kill(second);
    const again = await startAgent(join(folder, "second"), server.profile.address, joinToken);
    agents.push(again);
    const started = lines();
    const tasks = await Promise.all(ids.map((id) => client.wait("work", id)));
    await kill(again);

    expect(tasks.map(({ status }) => status)).toEqual(ids.map(() => "Succeeded"));
    const starts = lines().filter((line) => line.startsWith("start "));
    expect(new Set(starts).size).toBe(starts.length);
    const ended = started.filter((line) => line.startsWith("end ")).map((line) => line.split(" ")[1]);
    const ranAgain = tasks.filter(({ attempt }) => attempt > 1).map(({ taskId }) => taskId);
    expect(ranAgain.length).toBeGreaterThan(0);
    for (const id of ranAgain) expect(ended).not.toContain(id);
  } finally {
    for (const agent of agents) agent.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  }
});
