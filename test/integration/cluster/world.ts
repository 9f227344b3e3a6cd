// A cluster, a client and a ledger, for tests that break parts of it.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, isFinal, type SluiceClient, type Task } from "@sluice/client";
import { type Cluster, type ClusterOptions, startCluster } from "@sluice/cluster";
import { eventually } from "@sluice/core/testing";
import { deployWork, type Ledger, openLedger, violations } from "./ledger.ts";

export interface World extends AsyncDisposable {
  readonly cluster: Cluster;
  readonly client: SluiceClient;
  readonly ledger: Ledger;
  /** The service or backend of this name. */
  part(name: string): Part;
}

/** What can be broken. */
export interface Part {
  readonly name: string;
  kill(signal: NodeJS.Signals): void;
  stop(signal?: NodeJS.Signals): Promise<void>;
  start(): Promise<void>;
}

export async function openWorld(options: ClusterOptions): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-test-"));
  const ledger = openLedger(folder);
  const cluster = await startCluster(options);
  const client = connect(cluster.profile);
  await deployWork(client, ledger);
  return {
    cluster,
    client,
    ledger,
    part(name) {
      const found = [...cluster.services, ...cluster.backends].find((part) => part.name === name);
      if (!found) throw new Error(`no part is called ${name}`);
      return found;
    },
    async [Symbol.asyncDispose]() {
      await client.close();
      await cluster[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Waits until all of them are final, and returns those that did not succeed. */
export async function unsuccessful({ client }: World, taskIds: readonly string[], timeoutMs = 60_000): Promise<Task[]> {
  const wanted = new Set(taskIds);
  return eventually(
    async () => {
      const ended: Task[] = [];
      for await (const task of client.list({ function: "work" })) if (isFinal(task)) ended.push(task);
      const mine = ended.filter(({ taskId }) => wanted.has(taskId));
      if (mine.length < wanted.size) throw new Error(`${wanted.size - mine.length} of ${wanted.size} are not final`);
      return mine.filter(({ status }) => status !== "Succeeded");
    },
    { timeoutMs, everyMs: 200 },
  );
}

/** Tasks that were accepted and did not run to their end, and what ran twice or at the same time. */
export function wrongInLedger({ ledger }: World, accepted: readonly string[], agentDiedAt?: number): string[] {
  const mine = new Set(accepted);
  const executions = ledger.executions().filter(({ taskId }) => mine.has(taskId));
  const ended = new Set(executions.filter(({ hasEnded }) => hasEnded).map(({ taskId }) => taskId));
  const lost = accepted.filter((taskId) => !ended.has(taskId)).map((taskId) => `${taskId} never ended`);
  return [...lost, ...violations(executions, agentDiedAt)];
}
