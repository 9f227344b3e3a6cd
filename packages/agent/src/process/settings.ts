import { cpus } from "node:os";
import { type ConfigOf, type ConfigSpec, joinTokensSetting, setting, tlsProblems, tlsSettings } from "@sluice/runtime";
import { defaultAgentConfig } from "../config.ts";
import { readHostMemory } from "../instances/host-memory.ts";

const MiB = 2 ** 20;

/** What can be set of an agent's work, in a process of its own and in standalone alike. */
export const agentSettings = {
  slots: setting.integer({
    default: defaultAgentConfig.slots,
    min: 1,
    max: 10_000,
    why: "Attempts that run at the same time.",
  }),
  instancesMax: setting.integer({
    default: Math.max(4, cpus().length * 2),
    defaultText: "two per CPU, at least 4",
    min: 1,
    max: 1_000,
    why: "Processes that run handlers, all functions together.",
  }),
  memoryMaxMb: setting.integer({
    default: Math.max(128, Math.floor(readHostMemory().totalMb * 0.8)),
    defaultText: "four fifths of the memory of the host, or of its cgroup",
    min: 128,
    max: 2 ** 30,
    why: "MiB that these processes may take together, each counted with the memory of its function.",
  }),
  codeCacheBytes: setting.bytes({
    default: 1024 * MiB,
    min: 64 * MiB,
    max: 2 ** 40,
    why: "Unpacked function code that is kept on disk.",
  }),
  drainMs: setting.durationMs({
    default: defaultAgentConfig.drainMs,
    min: 0,
    max: 24 * 3_600_000,
    why: "At a graceful stop, how long running attempts may go on; then they are handed back and run again.",
  }),
};

const settings = {
  agentId: setting.required(
    setting.text({
      default: undefined,
      variable: "SLUICE_AGENT_ID",
      pattern: /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/,
      form: "1 to 128 letters, digits, `.`, `_` or `-`",
      why: "The same in every life of this host's agent, and unlike any other's.",
    }),
  ),
  apiServers: setting.list({
    default: ["127.0.0.1:50051"],
    pattern: /^[^\s,/]+:\d{1,5}$/,
    form: "addresses such as api-1:50051,api-2:50051",
    why: "The api-servers; any of them will do, and the next one when it is away.",
  }),
  joinTokens: joinTokensSetting,
  host: setting.text({ default: "127.0.0.1", why: "Address that the agent listens on for schedulers." }),
  port: setting.integer({
    default: 50_052,
    min: 0,
    max: 65_535,
    why: "Port that the agent listens on for schedulers; 0 takes a free one.",
  }),
  advertiseAddress: setting.text({
    default: undefined,
    defaultText: "host and port that it listens on",
    pattern: /^(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(:\d{1,5})?$/,
    form: "a host, or host:port, with an IPv6 address in brackets",
    why: "Where schedulers reach the agent, if that is another address than it listens on.",
  }),
  httpHost: setting.text({ default: "127.0.0.1", why: "Address that /healthz, /readyz and /metrics listen on." }),
  httpPort: setting.integer({
    default: 8_081,
    min: 0,
    max: 65_535,
    why: "Port of /healthz, /readyz and /metrics; 0 takes a free one.",
  }),
  dataDir: setting.text({
    default: ".sluice-agent",
    pattern: /./,
    form: "a folder",
    why: "Folder of code, instances and journal; one agent at a time.",
  }),
  ...agentSettings,
  ...tlsSettings,
  logLevel: setting.choice({ default: "info", of: ["debug", "info", "warn", "error"], why: "Least severe log lines." }),
};

export const agentSpec: ConfigSpec<typeof settings> = {
  service: "agent",
  summary: "Runs attempts of tasks on this host. Serves until SIGTERM.",
  settings,
  checks: [
    (config) => tlsProblems(config, { serves: true }),
    ({ host, advertiseAddress }) =>
      ["0.0.0.0", "::", ""].includes(host) && advertiseAddress === undefined
        ? [`--host ${host} listens everywhere: --advertise-address must say where schedulers reach it`]
        : [],
  ],
};
export type AgentProcessConfig = ConfigOf<typeof settings>;
