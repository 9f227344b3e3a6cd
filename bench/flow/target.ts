// What is measured: a cluster of one scheduler and one agent, with an api-server and a client for each of two accounts. Every
// run has a new one, so that nothing of the last run waits, is parked or is known.
import { connect, type SluiceClient } from "@sluice/client";
import { startCluster } from "@sluice/cluster";
import { functionZip } from "../../test/integration/function-zip.ts";
import { type Mechanism, withoutFlags, withoutVariable } from "./without.ts";

export interface FlowTarget extends AsyncDisposable {
  /** Clients of two accounts. */
  readonly noisy: SluiceClient;
  readonly quiet: SluiceClient;
  readonly versions: Readonly<Record<string, string>>;
  /** A sum over all labels that match, of the scheduler's /metrics. */
  metric(name: string, labels?: string): Promise<number>;
}

export interface FlowTargetOptions {
  readonly without: readonly Mechanism[];
  /** Tasks that the scheduler holds in memory; undefined: the default. */
  readonly lookAheadTasksMax?: number | undefined;
}

/** Attempts that the agent has at once, of everybody: what is shared. */
export const slots = 40;
/** Of each function; so that each alone could use all slots. */
export const instances = 4;
export const instanceConcurrency = 10;

const quietKey = { accessKeyId: "quiet", accessKeySecret: "the-quiet-account-of-the-bench" };

export async function startFlowTarget({ without, lookAheadTasksMax }: FlowTargetOptions): Promise<FlowTarget> {
  const cluster = await startCluster({
    apiServers: 2,
    schedulers: 1,
    agents: 1,
    environment: {
      // Backpressure has its own tests; here everything is to be taken.
      "api-server": { SLUICE_API_SERVER_THROTTLE: "false", SLUICE_API_SERVER_WAITING_TASKS_MAX: "3000000" },
      scheduler: lookAheadTasksMax ? { SLUICE_SCHEDULER_LOOK_AHEAD_TASKS_MAX: String(lookAheadTasksMax) } : {},
      agent: { SLUICE_AGENT_INSTANCES_MAX: String(3 * instances), SLUICE_AGENT_SLOTS: String(slots) },
    },
    overrides: ({ kind, name }) => ({
      nodeFlags: kind === "agent" ? [] : withoutFlags,
      environment: {
        [withoutVariable]: ["queues", ...without].join(","),
        ...(name === "api-server-1" && {
          SLUICE_ACCESS_KEY_ACCOUNT: "quiet",
          SLUICE_ACCESS_KEY_ID: quietKey.accessKeyId,
          SLUICE_ACCESS_KEY_SECRET: quietKey.accessKeySecret,
        }),
      },
    }),
  });
  const noisy = connect(cluster.profile);
  const quiet = connect({ address: cluster.apiAddresses[1] ?? "", ...quietKey });
  const { httpAddress } = cluster.service("scheduler-0");
  return {
    noisy,
    quiet,
    versions: Object.fromEntries(cluster.backends.map(({ name, version }) => [name, version])),
    async metric(name, labels = "") {
      const text = await (await fetch(`http://${httpAddress}/metrics`)).text();
      const lines = text.split("\n").filter((line) => /^\w+/.exec(line)?.[0] === name && line.includes(labels));
      return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
    },
    async [Symbol.asyncDispose]() {
      // What still waits is not awaited.
      await cluster[Symbol.asyncDispose]();
      await Promise.allSettled([noisy.close(), quiet.close()]);
    },
  };
}

/** Deploys a function and runs it once, so that an instance is there. */
export async function deployWarm(client: SluiceClient, name: string, code: string, atOnce = instanceConcurrency) {
  const instancesMax = atOnce > instanceConcurrency ? 1 : instances;
  const settings = {
    runtime: "nodejs20",
    handler: "index.handler",
    instanceConcurrency: atOnce,
    instancesMax,
  } as const;
  await client.functions.deploy({ name, settings, codeZip: await functionZip({ "index.js": code }) });
  const { taskId } = await client.submit({ function: name, taskId: "warm" });
  await client.wait(name, taskId);
}
