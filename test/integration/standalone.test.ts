// The embedded whole as its users meet it: real processes, real handlers, real signals.
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type SluiceClient, type Submission, type Task, text } from "@sluice/client";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { functionZip } from "./function-zip.ts";
import { preparedDataDir, runStandalone, type StandaloneProcess, startStandalone } from "./standalone-process.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-test-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

// An empty folder takes seconds to become a database, so tests that do not stop the instance share one.
let sharedFolder: string;
let shared: StandaloneProcess;
beforeAll(async () => {
  sharedFolder = mkdtempSync(join(tmpdir(), "sluice-test-"));
  // This one starts from nothing, as for a newcomer.
  shared = await startStandalone(sharedFolder);
});
afterAll(async () => {
  await shared[Symbol.asyncDispose]();
  rmSync(sharedFolder, { recursive: true, force: true });
});

/** Writes each start and end to a ledger that no crash of the server can take back, and takes its time. */
const ledgerHandler = `
const { appendFileSync } = require("node:fs");
exports.handler = async (event, context) => {
  const { ms } = JSON.parse(event.toString());
  const line = (what) => appendFileSync(process.env.LEDGER, what + " " + context.taskId + " " + context.attempt + "\\n");
  line("start");
  await new Promise((resolve) => setTimeout(resolve, ms));
  line("end");
  return context.taskId;
};`;

async function deploy(
  client: SluiceClient,
  name: string,
  code: string,
  environment: Record<string, string> = {},
): Promise<void> {
  const settings = {
    runtime: "nodejs20",
    handler: "index.handler",
    instanceConcurrency: 10,
    instancesMax: 2,
    environment,
  };
  await client.functions.deploy({ name, settings, codeZip: await functionZip({ "index.js": code }) });
}

async function submitAll(client: SluiceClient, submissions: Iterable<Submission>): Promise<string[]> {
  const ids: string[] = [];
  for await (const result of client.submitMany(submissions)) {
    if (!result.ok) throw result.error;
    ids.push(result.taskId);
  }
  return ids;
}

test("a task submitted to a fresh instance runs, and its result, timeline and log can be read", async () => {
  await using client = shared.client();
  await deploy(client, "hello", "exports.handler = async (event) => { console.log('hi'); return 'Hello, ' + event; };");

  const { taskId } = await client.submit({ function: "hello", payload: "world" });
  const task = await client.wait("hello", taskId);

  expect([task.status, text(task.result), task.attempt]).toEqual(["Succeeded", "Hello, world", 1]);
  expect(task.events.map(({ status }) => status)).toEqual(["Enqueued", "Dequeued", "Running", "Succeeded"]);
  const log: string[] = [];
  for await (const chunk of client.log("hello", taskId, { follow: true })) log.push(text(chunk.data));
  expect(log.join("")).toContain("hi\n");
});

test("health, readiness and metrics are served", async () => {
  const status = async (path: string) => (await fetch(`${shared.httpUrl}${path}`)).status;
  expect(await Promise.all(["/healthz", "/readyz", "/metrics"].map(status))).toEqual([200, 200, 200]);
  const metrics = await (await fetch(`${shared.httpUrl}/metrics`)).text();
  for (const service of ["api_server", "scheduler", "agent"]) expect(metrics).toContain(`sluice_${service}_`);
});

test("a second instance on the same folder is refused and says what to do", async () => {
  const second = await runStandalone(sharedFolder, []);
  expect(second.code).toBe(1);
  expect(second.stderr).toContain(`another instance (pid ${shared.pid}) is running`);
  expect(second.stderr).toContain("--data-dir");
});

test("a data folder that cannot be made is told in one line", async () => {
  const refused = await runStandalone("/proc/nothing/here", []);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(/^sluice: cannot use \/proc\/nothing as --data-dir: ENOENT\n$/);
});

test("wrong settings are all reported at once, and --help lists every setting", async () => {
  const wrong = await runStandalone(folder, ["--slots", "0", "--log-level", "loud", "--bogus"]);
  expect(wrong.code).toBe(2);
  for (const problem of ["--slots", "--log-level", "--bogus"]) expect(wrong.stderr).toContain(problem);
  const exposed = await runStandalone(folder, ["--auth", "none", "--grpc-host", "0.0.0.0"]);
  expect([exposed.code, exposed.stderr.includes("loopback")]).toEqual([2, true]);
  const help = await runStandalone(folder, ["--help"]);
  expect(help.code).toBe(0);
  for (const text of ["--grpc-port", "SLUICE_GRPC_PORT", "--data-dir", "SLUICE_MASTER_KEY"])
    expect(help.stdout).toContain(text);
});

describe("after a kill -9 in the middle of work", () => {
  test("every accepted task ends once, and only what was running runs again, as the next attempt", async () => {
    const ledger = join(folder, "ledger");
    const dataDir = await preparedDataDir(folder);
    appendFileSync(ledger, "");
    let ids: string[];
    {
      const server = await startStandalone(dataDir);
      await using client = server.client();
      await deploy(client, "work", ledgerHandler, { LEDGER: ledger });
      const submissions = Array.from({ length: 120 }, (_, n) => ({
        function: "work",
        taskId: `t${n}`,
        payload: JSON.stringify({ ms: n % 3 === 0 ? 2_000 : 40 }),
      }));
      ids = await submitAll(client, submissions);
      await eventually(() => linesOf(ledger, "end").length >= 30);
      await server.kill("SIGKILL");
    }
    await using server = await startStandalone(dataDir);
    const atRestart = { started: attemptsOf(ledger, "start"), ended: attemptsOf(ledger, "end") };
    await using client = server.client();
    const tasks = await Promise.all(ids.map((id) => client.wait("work", id)));

    expect(tasks.map(({ status }) => status)).toEqual(ids.map(() => "Succeeded"));
    const starts = attemptsOf(ledger, "start");
    expect([...new Set(starts)]).toHaveLength(starts.length);
    const ranAgain = tasks.filter(({ attempt }) => attempt > 1).map(({ taskId }) => taskId);
    // What ran again had been started before the kill, or was on its way into an instance and may have been; what waited for
    // one is still at its first attempt.
    const unseen = ranAgain.filter((id) => !atRestart.started.includes(`${id} 1`));
    // Two instances of concurrency 10.
    expect(unseen.length).toBeLessThanOrEqual(20);
    const interrupted = atRestart.started
      .filter((attempt) => !atRestart.ended.includes(attempt))
      .map((attempt) => attempt.split(" ")[0] ?? "");
    expect(interrupted.length).toBeGreaterThan(0);
    for (const id of interrupted) expect(ranAgain).toContain(id);
    for (const task of tasks.filter(({ taskId }) => !starts.includes(`${taskId} 2`))) expect(task.attempt).toBe(1);
  });

  test("handlers that were running are gone before the folder is in use again", async () => {
    const ledger = join(folder, "ledger");
    const dataDir = await preparedDataDir(folder);
    appendFileSync(ledger, "");
    const killed = await startStandalone(dataDir);
    {
      await using client = killed.client();
      await deploy(client, "work", ledgerHandler, { LEDGER: ledger });
      await client.submit({ function: "work", taskId: "long", payload: JSON.stringify({ ms: 3_000 }) });
      await eventually(() => attemptsOf(ledger, "start").length === 1);
      await killed.kill("SIGKILL");
    }
    await using server = await startStandalone(dataDir);
    await using client = server.client();
    const task = await client.wait("work", "long");
    expect([task.status, task.attempt]).toEqual(["Succeeded", 2]);
    expect(attemptsOf(ledger, "end")).toEqual(["long 2"]);
  });
});

test("Ctrl-C lets running tasks end, and the next start goes on with what waits, under the same key", async () => {
  const ledger = join(folder, "ledger");
  const dataDir = await preparedDataDir(folder);
  appendFileSync(ledger, "");
  const first = await startStandalone(dataDir, ["--slots", "4"]);
  const secret = first.profile.accessKeySecret ?? "";
  expect(first.output).toContain(`SLUICE_ACCESS_KEY_SECRET=${secret}`);
  let ids: string[];
  {
    await using client = first.client();
    await deploy(client, "work", ledgerHandler, { LEDGER: ledger });
    ids = await submitAll(
      client,
      Array.from({ length: 20 }, (_, n) => ({ function: "work", taskId: `t${n}`, payload: '{"ms":300}' })),
    );
    await eventually(() => attemptsOf(ledger, "start").length >= 4);
    expect(await first.kill("SIGINT")).toBe(0);
  }
  expect(attemptsOf(ledger, "end")).toEqual(expect.arrayContaining(attemptsOf(ledger, "start")));
  await using server = await startStandalone(dataDir);
  expect(server.profile.accessKeySecret).toBe(secret);
  expect(server.output).not.toContain(secret);
  await using client = server.client();
  const tasks = await Promise.all(ids.map((id) => client.wait("work", id)));
  expect(tasks.map(({ status, attempt }) => [status, attempt])).toEqual(ids.map(() => ["Succeeded", 1]));
});

test("a delayed task does not start before its time, an expired one never, and a stopped one ends as Stopped", async () => {
  await using client = shared.client();
  const ledger = join(folder, "ledger");
  appendFileSync(ledger, "");
  await deploy(client, "work", ledgerHandler, { LEDGER: ledger });

  await client.submit({ function: "work", taskId: "later", payload: '{"ms":1}', delayMs: 700 });
  await client.submit({ function: "work", taskId: "long", payload: '{"ms":60000}' });
  await client.submit({ function: "work", taskId: "parked", payload: '{"ms":1}', delayMs: 3_600_000 });
  await eventually(() => attemptsOf(ledger, "start").includes("long 1"));
  await client.stop("work", "long");
  await client.stop("work", "parked");

  const [later, long, parked] = await Promise.all(["later", "long", "parked"].map((id) => client.wait("work", id)));
  expect(later?.status).toBe("Succeeded");
  expect((later?.startedAtMs ?? 0) - (later?.enqueuedAtMs ?? 0)).toBeGreaterThanOrEqual(700);
  expect([long?.status, parked?.status]).toEqual(["Stopped", "Stopped"]);
  expect(attemptsOf(ledger, "end")).not.toContain("long 1");
  expect(attemptsOf(ledger, "start")).not.toContain("parked 1");
});

test("failures are retried as often as the function says, and a fatal one is not", async () => {
  await using client = shared.client();
  const code = `exports.handler = async (event, context) => {
    const error = new Error(event.toString() + " " + context.attempt);
    if (event.toString() === "fatal") error.retryable = false;
    throw error;
  };`;
  const settings = { runtime: "nodejs20", handler: "index.handler", maxAsyncRetryAttempts: 1 };
  await client.functions.deploy({ name: "fail", settings, codeZip: await functionZip({ "index.js": code }) });
  await client.submit({ function: "fail", taskId: "again", payload: "again" });
  await client.submit({ function: "fail", taskId: "fatal", payload: "fatal" });
  const [again, fatal] = await Promise.all(["again", "fatal"].map((id) => client.wait("fail", id)));
  const facts = (task: Task | undefined) => [task?.status, task?.attempt, task?.retries, task?.error?.message];
  expect(facts(again)).toEqual(["Failed", 2, 1, "again 2"]);
  expect(facts(fatal)).toEqual(["Failed", 1, 0, "fatal 1"]);
});

function linesOf(ledger: string, what: "start" | "end"): string[] {
  if (!existsSync(ledger)) return [];
  return readFileSync(ledger, "utf8")
    .split("\n")
    .filter((line) => line.startsWith(`${what} `));
}

/** `task attempt`, in the order of the ledger. */
function attemptsOf(ledger: string, what: "start" | "end"): string[] {
  return linesOf(ledger, what).map((line) => line.slice(what.length + 1));
}

/** Waits for a fact of another process; the test's own time limit ends it. */
async function eventually(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 10));
}
