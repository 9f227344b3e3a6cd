import { agentSettings } from "@sluice/agent/settings";
import { type ConfigOf, type ConfigSpec, setting } from "@sluice/runtime";

const MiB = 2 ** 20;

const settings = {
  grpcHost: setting.text({ default: "127.0.0.1", why: "Address that the gRPC API listens on." }),
  grpcPort: setting.integer({ default: 50_051, min: 0, max: 65_535, why: "Port of the gRPC API; 0 takes a free one." }),
  httpHost: setting.text({ default: "127.0.0.1", why: "Address that /healthz, /readyz and /metrics listen on." }),
  httpPort: setting.integer({
    default: 8_080,
    min: 0,
    max: 65_535,
    why: "Port of /healthz, /readyz and /metrics; 0 takes a free one.",
  }),
  dataDir: setting.text({
    default: ".sluice",
    pattern: /./,
    form: "a folder",
    why: "Folder that holds everything; one instance at a time.",
  }),
  auth: setting.choice({
    default: "keys",
    of: ["keys", "none"],
    why: "Whether calls need an access key; none is for local play and binds loopback only.",
  }),
  accessKeyId: setting.text({
    default: undefined,
    variable: "SLUICE_ACCESS_KEY_ID",
    why: "Id of the access key to create; default: made at the first start and printed.",
  }),
  accessKeySecret: setting.secret({
    default: undefined,
    variable: "SLUICE_ACCESS_KEY_SECRET",
    why: "Secret of the access key to create.",
  }),
  masterKey: setting.secret({
    default: undefined,
    variable: "SLUICE_MASTER_KEY",
    why: "Encrypts secrets at rest: 64 hexadecimal digits; default: a file of mode 0600 in the data folder.",
  }),
  payloadBytesMax: setting.bytes({ default: 128 * 1024, min: 1, max: 2 * MiB, why: "Larger payloads are refused." }),
  waitingTasksMax: setting.integer({
    default: 1_000_000,
    min: 1,
    max: 100_000_000,
    why: "Tasks of one account that may be unfinished; more are refused until some end.",
  }),
  retentionMs: setting.durationMs({
    default: 7 * 24 * 3_600_000,
    min: 60_000,
    max: 3_650 * 24 * 3_600_000,
    why: "How long a finished task can be read; then its id may be used again.",
  }),
  ...agentSettings,
  logLevel: setting.choice({
    default: "warn",
    of: ["debug", "info", "warn", "error"],
    why: "Least severe lines of the log on standard error; debug has one per task.",
  }),
};

export const standaloneSpec: ConfigSpec<typeof settings> = {
  service: "",
  summary: "Sluice in one process: api-server, scheduler and agent on embedded drivers. Serves until Ctrl-C.",
  settings,
  check(config) {
    const problems: string[] = [];
    for (const [flag, host] of [
      ["--grpc-host", config.grpcHost],
      ["--http-host", config.httpHost],
    ] as const) {
      if (config.auth === "none" && !isLoopback(host)) {
        problems.push(`--auth none lets everybody in: ${flag} must be a loopback address, not ${host}`);
      }
    }
    if ((config.accessKeyId === undefined) !== (config.accessKeySecret === undefined)) {
      problems.push("SLUICE_ACCESS_KEY_ID and SLUICE_ACCESS_KEY_SECRET must be given together");
    }
    return problems;
  },
};
export type StandaloneConfig = ConfigOf<typeof settings>;

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
}
