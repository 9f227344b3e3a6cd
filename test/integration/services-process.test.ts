// Each service as a process of its own: what it says when it starts, when it is ready, and how it ends.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type SluiceClient, text } from "@sluice/client";
import { type Cluster, startCluster } from "@sluice/cluster";
import { createAuthority } from "@sluice/testbed/certificates";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { functionZip } from "./function-zip.ts";

const mainOf = (service: string) => join(import.meta.dirname, "../../packages", service, "src/main.ts");

interface Readiness {
  readonly code: number;
  readonly status: string;
  readonly notReady?: readonly string[];
  readonly checks: Readonly<Record<string, { readonly ok: boolean; readonly [fact: string]: unknown }>>;
  readonly details: Readonly<Record<string, { readonly ok: boolean; readonly [fact: string]: unknown }>>;
}

async function readiness(httpAddress: string): Promise<Readiness> {
  const response = await fetch(`http://${httpAddress}/readyz`);
  return { code: response.status, ...((await response.json()) as Omit<Readiness, "code">) };
}

describe("a service that starts while everything is away", () => {
  // Nobody listens there.
  const environment = {
    SLUICE_POSTGRES_URL: "postgres://sluice@127.0.0.1:9/sluice",
    SLUICE_NATS_SERVERS: "127.0.0.1:9",
    SLUICE_ETCD_HOSTS: "127.0.0.1:9",
    SLUICE_JOIN_TOKEN: "join-token-of-this-test",
    SLUICE_MASTER_KEY: "0a".repeat(32),
    SLUICE_ACCESS_KEY_ID: "first",
    SLUICE_ACCESS_KEY_SECRET: "first-secret",
  };
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "sluice-test-"));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const cases = [
    {
      service: "api-server",
      flags: ["--api-server-id", "api-1", "--grpc-port", "0", "--http-port", "0"],
      line: /^api-server api-1 on 127\.0\.0\.1:\d+, (http:\/\/127\.0\.0\.1:\d+)\/readyz\n$/,
      notReady: ["store", "accessKey"],
    },
    {
      service: "scheduler",
      flags: ["--http-port", "0"],
      line: /^scheduler [A-Za-z0-9.-]+ on -, (http:\/\/127\.0\.0\.1:\d+)\/readyz\n$/,
      notReady: ["store", "queue", "coordinator", "lease", "partitions"],
    },
    {
      service: "agent",
      flags: ["--agent-id", "agent-1", "--api-servers", "127.0.0.1:9", "--port", "0", "--http-port", "0"],
      line: /^agent agent-1 on 127\.0\.0\.1:\d+, (http:\/\/127\.0\.0\.1:\d+)\/readyz\n$/,
      notReady: ["registered", "heartbeat"],
    },
  ];

  test.each(cases)("$service listens, is alive, tells what it misses, and stops in order", async (example) => {
    const { service, flags, line, notReady } = example;
    const args = ["--import", "tsx", mainOf(service), ...flags];
    const dataDir = service === "agent" ? ["--data-dir", join(folder, "agent")] : [];
    const child = spawn(process.execPath, [...args, ...dataDir], {
      env: { PATH: process.env["PATH"], ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    try {
      const stderr: string[] = [];
      child.stderr.on("data", (chunk: Buffer) => stderr.push(String(chunk)));
      const [printed] = (await Promise.race([once(child.stdout, "data"), once(child, "exit")])) as [Buffer | number];
      expect(String(printed), stderr.join("")).toMatch(line);
      const url = line.exec(String(printed))?.[1] ?? "";

      expect((await fetch(`${url}/healthz`)).status).toBe(200);
      expect(await readiness(new URL(url).host)).toMatchObject({ code: 503, status: "not ready", notReady });
      const metrics = await (await fetch(`${url}/metrics`)).text();
      expect(metrics).toContain("process_cpu_user_seconds_total");
      expect(metrics).toContain(service === "agent" ? "sluice_agent_slots_attempts" : "sluice_postgres_");

      const exited = once(child, "exit");
      child.kill("SIGTERM");
      expect(await exited).toEqual([0, null]);
      for (const entry of stderr.join("").trim().split("\n")) expect(JSON.parse(entry)).toHaveProperty("level");
    } finally {
      kill(child);
    }
  });

  test("whose address is taken ends with 1 and says so", async () => {
    const flags = ["--agent-id", "agent-2", "--port", "0", "--data-dir", join(folder, "agent-2")];
    const run = () =>
      spawn(process.execPath, ["--import", "tsx", mainOf("agent"), ...flags, "--http-port", port], {
        env: { PATH: process.env["PATH"], ...environment },
        stdio: ["ignore", "pipe", "pipe"],
      });
    let port = "0";
    const first = run();
    try {
      const [line] = (await once(first.stdout, "data")) as [Buffer];
      port = /http:\/\/127\.0\.0\.1:(\d+)/.exec(String(line))?.[1] ?? "";
      const second = run();
      const stderr: string[] = [];
      second.stderr.on("data", (chunk: Buffer) => stderr.push(String(chunk)));
      expect(await once(second, "close")).toEqual([1, null]);
      expect(stderr.join("")).toContain("ADDRESS_UNAVAILABLE");
    } finally {
      kill(first);
    }
  });
});

function kill(child: ChildProcess): void {
  if (child.exitCode === null) child.kill("SIGKILL");
}

describe("a cluster of one scheduler, one agent and two api-servers", () => {
  let cluster: Cluster;
  let client: SluiceClient;
  beforeAll(async () => {
    cluster = await startCluster({
      apiServers: 2,
      schedulers: 1,
      agents: 1,
      fsync: false,
      environment: { scheduler: { SLUICE_SCHEDULER_LEASE_PROFILE: "fast" } },
    });
    client = connect(cluster.profile);
    const codeZip = await functionZip({ "index.js": "exports.handler = async (event) => 'Hello, ' + event;" });
    await client.functions.deploy({
      name: "hello",
      settings: { runtime: "nodejs20", handler: "index.handler" },
      codeZip,
    });
  });
  afterAll(async () => {
    await client?.close();
    await cluster?.[Symbol.asyncDispose]();
  });

  // Each test breaks something; none leaves it to the next one.
  afterEach(async () => {
    await Promise.all([...cluster.backends, ...cluster.services].map((part) => part.start()));
    await allReady();
  });

  const of = (name: string) => readiness(cluster.service(name).httpAddress);
  const backend = (name: string) => {
    const found = cluster.backends.find((each) => each.name === name);
    if (!found) throw new Error(`no backend is called ${name}`);
    return found;
  };
  const becomes = (name: string, expected: object) =>
    expect.poll(() => of(name), { timeout: 40_000, interval: 100 }).toMatchObject(expected);
  const allReady = async () => {
    for (const { name } of cluster.services) await becomes(name, { code: 200 });
  };
  const greet = async (whom: string) => {
    const { taskId } = await client.submit({ function: "hello", payload: whom });
    const task = await client.wait("hello", taskId);
    return [task.status, text(task.result)];
  };

  test("runs a task, and each service tells why it is ready", async () => {
    expect(await greet("world")).toEqual(["Succeeded", "Hello, world"]);
    expect(await of("scheduler-0")).toMatchObject({
      code: 200,
      checks: {
        lease: { ok: true },
        partitions: { wished: 8, owned: 8 },
        served: { ok: true },
        agents: { attached: 1 },
      },
    });
    expect(await of("agent-0")).toMatchObject({ code: 200, checks: { schedulers: { ok: true, attached: 1 } } });
    await becomes("api-server-0", {
      code: 200,
      details: { queue: { ok: true }, coordinator: { ok: true }, dispatch: { ok: true, lanes: 256, agents: 1 } },
    });
  });

  test("without its agent the scheduler is not ready, and api-servers tell that nothing would run", async () => {
    await cluster.service("agent-0").stop();
    await becomes("scheduler-0", { code: 503, notReady: ["agents"] });
    await becomes("api-server-0", { code: 200, details: { dispatch: { ok: false, lanesClaimed: 256, agents: 0 } } });
    await cluster.service("agent-0").start();
    await allReady();
    expect(await greet("agent")).toEqual(["Succeeded", "Hello, agent"]);
  });

  test("without its scheduler the agent is not ready, and lanes have no owner", async () => {
    await cluster.service("scheduler-0").stop("SIGKILL");
    await becomes("agent-0", { code: 503, notReady: ["schedulers"] });
    await becomes("api-server-0", { code: 200, details: { dispatch: { ok: false, lanesClaimed: 0 } } });
    await cluster.service("scheduler-0").start();
    await allReady();
    expect(await greet("scheduler")).toEqual(["Succeeded", "Hello, scheduler"]);
  });

  test("without PostgreSQL neither api-server nor scheduler is ready", async () => {
    await backend("postgres").stop();
    await becomes("api-server-0", { code: 503, notReady: ["store"] });
    await becomes("scheduler-0", { code: 503 });
    expect((await of("scheduler-0")).notReady).toContain("store");
    await backend("postgres").start();
    await allReady();
    expect(await greet("PostgreSQL")).toEqual(["Succeeded", "Hello, PostgreSQL"]);
  });

  test("without NATS the scheduler is not ready; submissions are still accepted, and run later", async () => {
    await backend("nats-0").stop();
    await becomes("scheduler-0", { code: 503 });
    expect((await of("scheduler-0")).notReady).toContain("queue");
    await becomes("api-server-0", { code: 200, details: { queue: { ok: false } } });
    const { taskId } = await client.submit({ function: "hello", payload: "NATS" });
    await backend("nats-0").start();
    await allReady();
    expect((await client.wait("hello", taskId)).status).toBe("Succeeded");
  });

  test("without etcd the scheduler is not ready; api-servers and agents are", async () => {
    await backend("etcd").stop();
    await becomes("scheduler-0", { code: 503 });
    await becomes("scheduler-0", { checks: { coordinator: { ok: false }, lease: { ok: false } } });
    await becomes("api-server-0", { code: 200, details: { coordinator: { ok: false }, dispatch: { ok: false } } });
    await becomes("agent-0", { code: 200 });
    await backend("etcd").start();
    await allReady();
    expect(await greet("etcd")).toEqual(["Succeeded", "Hello, etcd"]);
  });

  test("services that were there before PostgreSQL, NATS and etcd run tasks once those come", async () => {
    await Promise.all(cluster.services.map((service) => service.stop("SIGKILL")));
    await Promise.all(cluster.backends.map((each) => each.stop()));
    await Promise.all(cluster.services.map((service) => service.start()));
    for (const { name } of cluster.services) {
      await expect.poll(() => of(name).catch(() => undefined), { timeout: 40_000 }).toMatchObject({ code: 503 });
    }
    await Promise.all(cluster.backends.map((each) => each.start()));
    await allReady();
    expect(await greet("you")).toEqual(["Succeeded", "Hello, you"]);
  });

  test("the kill of either api-server costs the agent no heartbeat", async () => {
    const before = (await of("agent-0")).checks["registered"]?.["incarnation"];
    const ages: number[] = [];
    const watch = async (forMs: number) => {
      for (const until = performance.now() + forMs; performance.now() < until; ) {
        const { code, checks } = await of("agent-0");
        ages.push(Number(checks["heartbeat"]?.["ageMs"]));
        expect(code).toBe(200);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    for (const name of ["api-server-0", "api-server-1"]) {
      await cluster.service(name).stop("SIGKILL");
      await watch(4_000);
      await cluster.service(name).start();
      await becomes(name, { code: 200 });
    }
    expect(Math.max(...ages)).toBeLessThan(5_000);
    expect((await of("agent-0")).checks["registered"]?.["incarnation"]).toBe(before);
    expect(await greet("api-server")).toEqual(["Succeeded", "Hello, api-server"]);
  });

  test("asked to stop in the middle of an outage, services end in order", async () => {
    await backend("postgres").stop();
    await becomes("scheduler-0", { checks: { store: { ok: false } } });
    for (const name of ["scheduler-0", "api-server-0"]) {
      await cluster.service(name).stop("SIGTERM");
      const lastLine = readFileSync(cluster.service(name).logFile, "utf8").trim().split("\n").at(-1) ?? "";
      expect(JSON.parse(lastLine), name).toMatchObject({ level: "info", msg: "stopped" });
    }
  });
});

test("with certificates the services find each other and run a task; whoever names another role does not get in", async () => {
  using authority = createAuthority();
  const certificateOf = (role: string) => {
    const names = [`URI:spiffe://sluice/${role}`, "DNS:localhost", "IP:127.0.0.1"];
    const { cert, key } = authority.issue(role, { names });
    return {
      SLUICE_TLS_CA: authority.ca,
      SLUICE_TLS_CERT: cert,
      SLUICE_TLS_KEY: key,
      SLUICE_TLS_CLIENT_AUTH: "request",
    };
  };
  const environment = {
    "api-server": certificateOf("api-server"),
    scheduler: { ...certificateOf("scheduler"), SLUICE_TLS_CLIENT_AUTH: "none" },
    agent: certificateOf("agent"),
  };
  // Its services are ready, so agents reach the api-server and the scheduler reaches the agent.
  await using cluster = await startCluster({ apiServers: 1, schedulers: 1, agents: 1, fsync: false, environment });
  await using client = connect({ ...cluster.profile, tls: { ca: readFileSync(authority.ca) } });
  const codeZip = await functionZip({ "index.js": "exports.handler = async () => 'in private';" });
  await client.functions.deploy({
    name: "hello",
    settings: { runtime: "nodejs20", handler: "index.handler" },
    codeZip,
  });
  const { taskId } = await client.submit({ function: "hello" });
  expect(text((await client.wait("hello", taskId)).result)).toBe("in private");

  const impostor = await cluster.addService("agent", { environment: environment.scheduler });
  await expect.poll(() => impostor.pid, { timeout: 40_000 }).toBeUndefined();
  expect(readFileSync(impostor.logFile, "utf8")).toContain("WRONG_ROLE");
});
