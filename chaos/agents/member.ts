// One agent of the herd: the production agent, with timers instead of processes. One incarnation after the other, as
// `createAgentHost` does it, each with an address, a table and connections of its own.
import { setMaxListeners } from "node:events";
import { credentials } from "@grpc/grpc-js";
import { type Agent, createAgent, createMemoryJournal, defaultAgentConfig, Fenced } from "@sluice/agent";
import { AppError } from "@sluice/core";
import { AgentGatewayServiceService, AgentServiceService, addApi, apiClient } from "@sluice/protocol";
import { createLogger, grpcServer, systemClock, systemRandom } from "@sluice/runtime";
import { Registry } from "prom-client";
import { failOver } from "../../packages/agent/src/process/fail-over.ts";
import { Executor } from "./execute.ts";
import { createTimedPool } from "./pool.ts";

export interface MemberOptions {
  readonly agentId: string;
  readonly apiServers: readonly string[];
  readonly joinToken: string;
  readonly slots: number;
}

export interface Member {
  /** The incarnation that lives now. */
  readonly agent: Agent | undefined;
  /** Incarnations that had to end themselves. */
  readonly fences: number;
  run(signal: AbortSignal): Promise<void>;
}

/** Caches are made for as many entries as they may have, by every agent and every stream. */
const small = { drainMs: 1_000, confirmedMax: 1_000, streamFunctionsMax: 100 };

const log = createLogger({ level: "error", service: "herd", stream: process.stderr });

export function createMember(options: MemberOptions): Member {
  const { agentId, apiServers, joinToken, slots } = options;
  let agent: Agent | undefined;
  let fences = 0;
  let lives = 0;

  async function live(address: string, gateway: ReturnType<typeof failOver>, signal: AbortSignal): Promise<void> {
    lives += 1;
    const executor = new Executor(agentId, `${agentId}.${lives}`);
    await using pool = createTimedPool({
      execute: (spec, invocation, killed) => executor.execute(spec, invocation, killed),
    });
    agent = createAgent({
      config: { ...defaultAgentConfig, ...small, agentId, address, joinToken, slots },
      clock: systemClock,
      random: systemRandom,
      log,
      registry: new Registry(),
      gateway,
      pool,
      journal: createMemoryJournal(),
      // Nothing outlives this process that somebody would have to kill.
      watchdog: { extend: () => undefined },
    });
    await agent.run(signal);
  }

  return {
    get agent() {
      return agent;
    },
    get fences() {
      return fences;
    },
    async run(signal) {
      const gateways = apiServers.map((address) =>
        apiClient(AgentGatewayServiceService, address, { channelCredentials: ownCredentials() }),
      );
      const gateway = failOver(
        gateways.map(({ api }) => api),
        { clock: systemClock, random: systemRandom },
      );
      await using server = await grpcServer({ host: "127.0.0.1", port: 0 }, (grpc) =>
        addApi(grpc, AgentServiceService, {
          attach(input, context) {
            if (!agent) throw new AppError("unavailable", "AGENT_STARTING", "the agent has no incarnation yet");
            return agent.api.attach(input, context);
          },
        }),
      );
      while (!signal.aborted) {
        try {
          await live(server.address, gateway, signal);
        } catch (cause) {
          if (!(cause instanceof Fenced)) throw cause;
          fences += 1;
        } finally {
          agent = undefined;
        }
      }
      for (const { close } of gateways) close();
    },
  };
}

/** Channels with equal credentials share connections; three hundred agents have three hundred. */
function ownCredentials() {
  const own = credentials.createInsecure();
  return Object.assign(own, { _equals: (other: unknown) => other === own });
}

setMaxListeners(0);
