// Runs the agent of this host, one incarnation after the other. What a new incarnation needs of its own (watchdog, pool,
// journal) is made for it and closed with it.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Clock, Random } from "@sluice/core";
import type { AgentGatewayServiceService, Api } from "@sluice/protocol";
import type { Logger } from "@sluice/runtime";
import type { Registry } from "prom-client";
import { type Agent, createAgent } from "./agent.ts";
import { openCodeCache } from "./code/code-cache.ts";
import { defaultAgentConfig } from "./config.ts";
import { createCodeFetch } from "./fetch-code.ts";
import { openFileJournal } from "./file-journal.ts";
import { detectCgroups } from "./instances/cgroup.ts";
import { createMemoryWatch, readHostMemory } from "./instances/host-memory.ts";
import { createInstancePool } from "./instances/pool.ts";
import { Fenced } from "./lifeline/fenced.ts";
import { scopeOf } from "./watchdog/host-lock.ts";
import { startWatchdog } from "./watchdog/watchdog.ts";

export interface AgentHostOptions {
  readonly agentId: string;
  readonly joinToken: string;
  /** Under which the scheduler finds the agent. */
  readonly address: string;
  readonly folder: string;
  readonly slots: number;
  readonly instancesMax: number;
  /** MiB of memory that instances may take together. */
  readonly memoryMaxMb: number;
  readonly codeCacheBytes: number;
  readonly codeBytesMax: number;
  readonly drainMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly registry: Registry;
  readonly gateway: Api<typeof AgentGatewayServiceService>;
  /** Of this process; instances get PATH, HOME, TZ and LANG of it. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export interface AgentHost {
  /** The incarnation that lives now. */
  readonly agent: Agent | undefined;
  run(signal: AbortSignal): Promise<void>;
}

export function createAgentHost(options: AgentHostOptions): AgentHost {
  let agent: Agent | undefined;
  return {
    get agent() {
      return agent;
    },
    async run(signal) {
      while (!signal.aborted) {
        try {
          await runIncarnation(options, signal, (live) => {
            agent = live;
          });
        } catch (cause) {
          if (!(cause instanceof Fenced)) throw cause;
          options.log.warn("a new incarnation of the agent starts", { reason: cause.fenceReason });
        } finally {
          agent = undefined;
        }
      }
    },
  };
}

async function runIncarnation(
  options: AgentHostOptions,
  signal: AbortSignal,
  onAgent: (agent: Agent) => void,
): Promise<void> {
  const { clock, random, log, folder, gateway } = options;
  const workDir = join(folder, "work");
  mkdirSync(workDir, { recursive: true, mode: 0o700 });
  // Waits until the watchdog of an earlier life, which may have ended with -9, has killed everything that it ran.
  await using watchdog = await startWatchdog({ dataDir: folder, clock, signal });
  using journal = openFileJournal(join(folder, "journal"));
  const scope = scopeOf(folder);
  const code = await openCodeCache({
    directory: join(folder, "code"),
    clock,
    random: random.fork("code"),
    bytesMax: options.codeCacheBytes,
    fetch: createCodeFetch({ gateway, joinToken: options.joinToken, bytesMax: options.codeBytesMax }),
  });
  await using pool = createInstancePool({
    clock,
    random,
    code,
    guard: watchdog,
    cgroups: detectCgroups(scope),
    scope,
    workDir,
    environment: options.environment,
    instancesMax: options.instancesMax,
    memoryMaxMb: options.memoryMaxMb,
    beforeSend: () => agent.flushJournal(),
  });
  const { agentId, address, joinToken, slots, instancesMax, memoryMaxMb, drainMs } = options;
  const config = { ...defaultAgentConfig, agentId, address, joinToken, slots, instancesMax, memoryMaxMb, drainMs };
  const agent = createAgent({
    config,
    clock,
    random,
    log,
    registry: options.registry,
    gateway,
    pool,
    journal,
    watchdog,
    isShortOfMemory: createMemoryWatch({ clock, read: readHostMemory }),
  });
  onAgent(agent);
  await agent.run(signal);
}
