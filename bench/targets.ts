// What is measured: a cluster of one service of each kind, or a standalone process.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type SluiceClient } from "@sluice/client";
import { startCluster } from "@sluice/cluster";
import { startStandalone } from "../test/integration/standalone-process.ts";
import type { Processes } from "./processes.ts";

export interface Target extends AsyncDisposable {
  readonly client: SluiceClient;
  /** For calls beside the client. */
  readonly address: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly description: string;
  readonly versions: Readonly<Record<string, string>>;
  /** Now; with the bench itself. */
  processes(): Processes;
  /** Undefined where it cannot be stopped alone. */
  readonly agent: { stop(): Promise<void>; start(): Promise<void> } | undefined;
}

/** Attempts that the agent holds: eight times what its instances run at once, so that these never wait for the next. */
const slots = 320;

/** `profileDir`: every service writes a CPU profile there when it ends. */
export async function clusterTarget(instances: number, profileDir: string | undefined): Promise<Target> {
  const cluster = await startCluster({
    apiServers: 1,
    schedulers: 1,
    agents: 1,
    nodeFlags: profileDir === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profileDir}`],
    environment: {
      agent: { SLUICE_AGENT_INSTANCES_MAX: String(instances), SLUICE_AGENT_SLOTS: String(slots) },
    },
  });
  const client = connect(cluster.profile);
  const agent = cluster.service("agent-0");
  return {
    client,
    address: cluster.profile.address,
    headers: headersOf(cluster.profile),
    description: "1 api-server, 1 scheduler, 1 agent, PostgreSQL with fsync, nats-server, etcd",
    versions: {
      Node: process.version,
      ...Object.fromEntries(cluster.backends.map(({ name, version }) => [name, version])),
    },
    processes: () =>
      Object.fromEntries([
        ["bench", process.pid],
        ...[...cluster.services, ...cluster.backends].flatMap(({ name, pid }) => (pid ? [[name, pid]] : [])),
      ]),
    agent: {
      stop: () => agent.stop(),
      async start() {
        await agent.start();
        await agent.ready();
      },
    },
    async [Symbol.asyncDispose]() {
      await client.close();
      // In order: a process that is killed writes no profile.
      if (profileDir !== undefined) await cluster.stop();
      await cluster[Symbol.asyncDispose]();
    },
  };
}

export async function standaloneTarget(instances: number): Promise<Target> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-bench-"));
  const server = await startStandalone(folder, ["--instances-max", String(instances), "--slots", String(slots)]);
  const client = server.client();
  return {
    client,
    address: server.profile.address,
    headers: headersOf(server.profile),
    description: `standalone (ready after ${Math.round(server.readyAfterMs)} ms in an empty folder)`,
    versions: { Node: process.version },
    processes: () => ({ bench: process.pid, standalone: server.pid }),
    agent: undefined,
    async [Symbol.asyncDispose]() {
      await client.close();
      await server[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function headersOf(profile: { readonly accessKeyId?: string; readonly accessKeySecret?: string }) {
  return { authorization: `Bearer ${profile.accessKeyId}:${profile.accessKeySecret}` };
}
