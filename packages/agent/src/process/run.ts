// An agent in a process of its own: joins through the api-servers and is reached by schedulers at its address.
import { AppError, runAll } from "@sluice/core";
import {
  AgentGatewayServiceService,
  AgentServiceService,
  type Api,
  addApi,
  apiClient,
  channelCredentials,
  serverCredentials,
} from "@sluice/protocol";
import { grpcServer, httpServer, openTls, type ServiceProcess } from "@sluice/runtime";
import { guardAttach } from "../guard-attach.ts";
import { type AgentHost, createAgentHost } from "../host.ts";
import { agentMetrics } from "../metrics.ts";
import { failOver } from "./fail-over.ts";
import { readinessOf } from "./readiness.ts";
import type { AgentProcessConfig } from "./settings.ts";

export interface AgentProcessDeps {
  /** Of this process; instances get PATH, HOME, TZ and LANG of it. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** What an api-server accepts as the code of a function, and a little more. */
const codeBytesMax = 64 * 2 ** 20;

export async function runAgent(
  process: ServiceProcess<AgentProcessConfig>,
  { environment }: AgentProcessDeps,
): Promise<void> {
  const { config, clock, random, log, registry, signal, announce } = process;
  const tls = openTls(config, { clock, log });
  // Here already, although the first incarnation may have to wait for the end of the last one.
  agentMetrics(registry);
  const toGateways = { channelCredentials: channelCredentials(tls) };
  const gateways = config.apiServers.map((address) => apiClient(AgentGatewayServiceService, address, toGateways));
  let host: AgentHost | undefined;
  const living: Api<typeof AgentServiceService> = {
    attach(input, context) {
      if (!host?.agent) throw new AppError("unavailable", "AGENT_STARTING", "the agent has no incarnation yet");
      return host.agent.api.attach(input, context);
    },
  };
  await using grpc = await grpcServer(
    { host: config.host, port: config.port, credentials: serverCredentials(tls) },
    (server) =>
      addApi(server, AgentServiceService, guardAttach(living, { ...config, clientAuth: config.tlsClientAuth })),
  );
  const { agentId, slots, instancesMax, memoryMaxMb, codeCacheBytes, drainMs } = config;
  const agentHost = createAgentHost({
    agentId,
    slots,
    instancesMax,
    memoryMaxMb,
    codeCacheBytes,
    drainMs,
    joinToken: config.joinTokens[0] ?? "",
    address: advertised(config.advertiseAddress, grpc),
    folder: config.dataDir,
    codeBytesMax,
    clock,
    random,
    log,
    registry,
    gateway: failOver(
      gateways.map(({ api }) => api),
      { clock, random },
    ),
    environment,
  });
  host = agentHost;
  await using http = await httpServer({
    address: config.httpHost,
    port: config.httpPort,
    registry,
    health: { running: () => !signal.aborted, ...readinessOf(agentHost) },
  });
  announce(`agent ${agentId} on ${grpc.address}, ${http.url}/readyz`);
  try {
    await runAll(
      signal,
      (stop) => agentHost.run(stop),
      async (stop) => await tls?.run(stop),
    );
  } finally {
    for (const gateway of gateways) gateway.close();
  }
}

function advertised(address: string | undefined, { address: own, port }: { address: string; port: number }): string {
  if (address === undefined) return own;
  return /:\d{1,5}$/.test(address.replace(/^\[.*\]/, "host")) ? address : `${address}:${port}`;
}
