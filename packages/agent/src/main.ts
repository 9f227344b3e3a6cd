// An agent in a process of its own: joins through an api-server and is reached by schedulers at its address.
import { setMaxListeners } from "node:events";
import { join } from "node:path";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { AppError, runAll } from "@sluice/core";
import {
  AgentGatewayServiceService,
  AgentServiceService,
  addApi,
  apiClient,
  serverOptions,
  silenceTransport,
} from "@sluice/protocol";
import {
  type ConfigSpec,
  createLogger,
  httpServer,
  processMetrics,
  readConfig,
  setting,
  systemClock,
  systemRandom,
  untilSignal,
} from "@sluice/runtime";
import { Registry } from "prom-client";
import { createAgentHost } from "./host.ts";
import { agentSettings } from "./settings.ts";

const settings = {
  agentId: setting.required(setting.text({ default: undefined, why: "The same in every life of this host's agent." })),
  apiServer: setting.text({ default: "127.0.0.1:50051", why: "host:port of an api-server." }),
  joinToken: setting.secret({ default: undefined, why: "Proves that the agent may join." }),
  host: setting.text({ default: "127.0.0.1", why: "Address that schedulers reach this agent at." }),
  port: setting.integer({
    default: 50_052,
    min: 0,
    max: 65_535,
    why: "Port that schedulers reach it at; 0: a free one.",
  }),
  httpPort: setting.integer({ default: 8_081, min: 0, max: 65_535, why: "Port of /healthz, /readyz and /metrics." }),
  dataDir: setting.text({
    default: ".sluice-agent",
    why: "Folder of code, instances and journal; one agent at a time.",
  }),
  ...agentSettings,
  logLevel: setting.choice({ default: "info", of: ["debug", "info", "warn", "error"], why: "Least severe log lines." }),
};
const spec: ConfigSpec<typeof settings> = { service: "agent", summary: "Runs attempts on this host.", settings };
/** What an api-server accepts as the code of a function, and a little more. */
const codeBytesMax = 64 * 2 ** 20;

// One signal ends every loop of the process; that many listeners are no leak.
setMaxListeners(0);
silenceTransport();
const config = readConfig(spec);
const log = createLogger({ level: config.logLevel, service: "agent", stream: process.stderr });
try {
  await untilSignal(run);
} catch (cause) {
  if (!(cause instanceof AppError)) throw cause;
  process.stderr.write(`sluice-agent: ${cause.message}\n`);
  process.exitCode = 1;
}

async function run(signal: AbortSignal): Promise<void> {
  const registry = new Registry();
  processMetrics(registry);
  const gateway = apiClient(AgentGatewayServiceService, config.apiServer);
  const server = new Server(serverOptions);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${config.host}:${config.port}`, ServerCredentials.createInsecure(), (cause, bound) => {
      if (cause)
        reject(
          new AppError("unavailable", "ADDRESS_UNAVAILABLE", `cannot listen on ${config.host}:${config.port}`, {
            cause,
          }),
        );
      else resolve(bound);
    });
  });
  const host = createAgentHost({
    ...config,
    joinToken: config.joinToken ?? "",
    address: `${config.host}:${port}`,
    folder: join(config.dataDir),
    codeBytesMax,
    clock: systemClock,
    random: systemRandom,
    log,
    registry,
    gateway: gateway.api,
    environment: process.env,
  });
  addApi(server, AgentServiceService, {
    attach(input, context) {
      if (!host.agent) throw new AppError("unavailable", "AGENT_STARTING", "the agent has no incarnation yet");
      return host.agent.api.attach(input, context);
    },
  });
  await using http = await httpServer({
    address: config.host,
    port: config.httpPort,
    registry,
    health: { registered: () => host.agent?.isReady === true },
  });
  process.stdout.write(`agent ${config.agentId} on ${config.host}:${port}, ${http.url}/readyz\n`);
  await runAll(signal, (stop) => host.run(stop));
  server.forceShutdown();
  gateway.close();
}
