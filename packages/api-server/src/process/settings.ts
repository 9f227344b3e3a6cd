import { backendProblems, backendSettings } from "@sluice/backends/settings";
import { type ConfigOf, type ConfigSpec, joinTokensSetting, setting, tlsProblems, tlsSettings } from "@sluice/runtime";
import { isLoopback } from "../accounts/loopback.ts";
import { defaultApiServerConfig } from "../config.ts";

const MiB = 2 ** 20;
const dayMs = 24 * 3_600_000;

/** What callers may ask for, in a process of its own and in standalone alike. */
export const limitSettings = {
  payloadBytesMax: setting.bytes({
    default: defaultApiServerConfig.payloadBytesMax,
    min: 1,
    max: 2 * MiB,
    why: "Larger payloads are refused.",
  }),
  waitingTasksMax: setting.integer({
    default: defaultApiServerConfig.waitingTasksMax,
    min: 1,
    max: 100_000_000,
    why: "Tasks of one account that may be unfinished; more are refused until some end.",
  }),
  queueBacklogMax: setting.integer({
    default: defaultApiServerConfig.queueBacklogMax,
    min: 1_000,
    max: 100_000_000,
    unit: "tasks",
    why: "Tasks that may wait in one queue; then it takes none from anybody.",
  }),
  throttle: setting.boolean({
    default: defaultApiServerConfig.throttle,
    why: "Whether accounts are refused a share of what they submit beyond their fair share of a full queue.",
  }),
};

/** Who may call, and with which first key. */
export const accessSettings = {
  auth: setting.choice({
    default: "keys",
    of: ["keys", "none"],
    why: "Whether calls need an access key; none is for local play and binds loopback only.",
  }),
  accessKeyId: setting.text({
    default: undefined,
    variable: "SLUICE_ACCESS_KEY_ID",
    pattern: /^[A-Za-z0-9_-]{1,64}$/,
    form: "1 to 64 letters, digits, `_` or `-`",
    why: "Id of an access key that is created at the start unless it exists.",
  }),
  accessKeySecret: setting.secret({
    default: undefined,
    variable: "SLUICE_ACCESS_KEY_SECRET",
    pattern: /^[\x21-\x7e]{8,128}$/,
    form: "8 to 128 printable ASCII characters without spaces",
    why: "Secret of that access key.",
  }),
};

/** Whether the port is one, `accessProblems` says. */
const hostAndPort = String.raw`(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253}):\d{1,5}`;

/** Where an api-server listens; in standalone, too. */
export const listenSettings = {
  grpcHost: setting.text({ default: "127.0.0.1", why: "Address that the gRPC API listens on." }),
  grpcPort: setting.integer({ default: 50_051, min: 0, max: 65_535, why: "Port of the gRPC API; 0 takes a free one." }),
  httpHost: setting.text({ default: "127.0.0.1", why: "Address that /healthz, /readyz and /metrics listen on." }),
  httpPort: setting.integer({
    default: 8_080,
    min: 0,
    max: 65_535,
    why: "Port of /healthz, /readyz and /metrics; 0 takes a free one.",
  }),
  fcAddress: setting.text({
    default: "none",
    pattern: new RegExp(`^(none|${hostAndPort})$`),
    form: "host:port, with an IPv6 address in brackets, or none",
    why: "Address of the HTTP API, which is that of Function Compute; port 0 takes a free one.",
  }),
};

const settings = {
  apiServerId: setting.text({
    default: undefined,
    defaultText: "host name and a random suffix",
    variable: "SLUICE_API_SERVER_ID",
    pattern: /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/,
    form: "1 to 128 letters, digits, `.`, `_` or `-`",
    why: "Name in logs.",
  }),
  ...listenSettings,
  joinTokens: joinTokensSetting,
  masterKey: setting.required(
    setting.secret({
      default: undefined,
      variable: "SLUICE_MASTER_KEY",
      pattern: /^[0-9A-Fa-f]{64}$/,
      form: "64 hexadecimal digits",
      why: "Encrypts the secrets of access keys at rest; 64 hexadecimal digits, the same for all api-servers.",
    }),
  ),
  ...accessSettings,
  accessKeyAccount: setting.text({
    default: "default",
    variable: "SLUICE_ACCESS_KEY_ACCOUNT",
    pattern: /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/,
    form: "1 to 64 letters, digits, `_` or `-`",
    why: "Account of that access key.",
  }),
  operatorAccounts: setting.list({
    default: [],
    defaultText: "the account of that access key",
    pattern: /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/,
    form: "account ids: 1 to 64 letters, digits, `_` or `-`",
    why: "Accounts that may look after the cluster (sluice cluster).",
  }),
  ...limitSettings,
  queueFullnessMax: setting.decimal({
    default: defaultApiServerConfig.queueFullnessMax,
    min: 0.1,
    max: 1,
    why: "Share of what the stream in NATS may hold; above it accounts with much waiting are refused, then all; 1: nobody.",
  }),
  delayMsMax: setting.durationMs({
    default: defaultApiServerConfig.delayMsMax,
    min: 1_000,
    max: 3_650 * dayMs,
    why: "Longer delays are refused.",
  }),
  expiresAfterMsMax: setting.durationMs({
    default: defaultApiServerConfig.expiresAfterMsMax,
    min: 1_000,
    max: 3_650 * dayMs,
    why: "Later expiries are refused.",
  }),
  watchersMax: setting.integer({
    default: defaultApiServerConfig.watchersMax,
    min: 1,
    max: 1_000_000,
    why: "Calls that wait for a task or follow a log at the same time; more are refused.",
  }),
  admissionBytesMax: setting.bytes({
    default: defaultApiServerConfig.admissionBytesMax,
    min: 4 * MiB,
    max: 2 ** 40,
    why: "Submissions in memory that are not answered yet, of all callers; more wait, then are refused. Bodies at the HTTP API have as much of their own, where nothing waits.",
  }),
  leaveMs: setting.durationMs({
    default: 1_000,
    min: 0,
    max: 300_000,
    why: "At a graceful stop, how long calls are still taken after the health says no; longer than who balances load needs to see it.",
  }),
  reflection: setting.boolean({ default: true, why: "Whether callers may ask which services there are (grpcurl)." }),
  scalerAddress: setting.text({
    default: undefined,
    defaultText: "none",
    pattern: new RegExp(`^${hostAndPort}$`),
    form: "host:port, with an IPv6 address in brackets",
    why: "Address on which KEDA may ask how many slots of agents are needed; port 0 takes a free one.",
  }),
  ...backendSettings,
  ...tlsSettings,
  logLevel: setting.choice({ default: "info", of: ["debug", "info", "warn", "error"], why: "Least severe log lines." }),
};

export const apiServerSpec: ConfigSpec<typeof settings> = {
  service: "api-server",
  summary: "Accepts tasks and answers questions about them; agents join through it. Serves until SIGTERM.",
  settings,
  checks: [accessProblems, backendProblems, (config) => tlsProblems(config, { serves: true })],
};
export type ApiServerProcessConfig = ConfigOf<typeof settings>;

/** What is wrong with where it listens and who may call. */
export function accessProblems(config: {
  readonly auth: "keys" | "none";
  readonly grpcHost: string;
  readonly httpHost: string;
  readonly fcAddress: string;
  readonly scalerAddress?: string | undefined;
  readonly accessKeyId: string | undefined;
  readonly accessKeySecret: string | undefined;
}): string[] {
  const problems: string[] = [];
  for (const [flag, host] of [
    ["--grpc-host", config.grpcHost],
    ["--http-host", config.httpHost],
    ["--fc-address", parseAddress(config.fcAddress)?.host],
  ] as const) {
    if (config.auth === "none" && host !== undefined && !isLoopback(host)) {
      problems.push(`--auth none lets everybody in: ${flag} must be a loopback address, not ${host}`);
    }
  }
  for (const [flag, address] of [
    ["--fc-address", config.fcAddress],
    ["--scaler-address", config.scalerAddress],
  ] as const) {
    if ((parseAddress(address)?.port ?? 0) > 65_535) {
      problems.push(`${flag} must have a port from 0 to 65535, not ${address}`);
    }
  }
  if ((config.accessKeyId === undefined) !== (config.accessKeySecret === undefined)) {
    problems.push("SLUICE_ACCESS_KEY_ID and SLUICE_ACCESS_KEY_SECRET must be given together");
  }
  return problems;
}

/** Of a setting of the form host:port; undefined: none. */
export function parseAddress(
  address: string | undefined,
): { readonly host: string; readonly port: number } | undefined {
  if (address === undefined || address === "none") return undefined;
  const colon = address.lastIndexOf(":");
  return { host: address.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(address.slice(colon + 1)) };
}
