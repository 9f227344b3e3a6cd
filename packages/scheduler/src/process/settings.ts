import { backendProblems, backendSettings } from "@sluice/backends/settings";
import { defaultOwnerLoadConfig, defaultSolveConfig } from "@sluice/load-balancer";
import { type ConfigOf, type ConfigSpec, joinTokensSetting, setting, tlsProblems, tlsSettings } from "@sluice/runtime";
import { defaultSchedulerConfig } from "../config.ts";

/** How long finished tasks are kept, in a process of its own and in standalone alike. */
export const retentionSettings = {
  retentionMs: setting.durationMs({
    default: defaultSchedulerConfig.retentionMs,
    min: 60_000,
    max: 3_650 * 24 * 3_600_000,
    why: "How long a finished task can be read; then its id may be used again.",
  }),
};

/** When accounts are refused a share of what they submit, in a process of its own and in standalone alike. */
export const throttleSettings = {
  throttleBacklogMin: setting.integer({
    default: defaultSolveConfig.backlogMin,
    min: 100,
    max: 100_000_000,
    unit: "tasks",
    why: "No queue refuses a share of the submissions while fewer tasks wait in it, or what it dispatches in 10 s.",
  }),
};

/** The load-balancer's part of them. */
export function throttleOf(config: { readonly throttleBacklogMin: number }) {
  return { throttle: { ...defaultSolveConfig, backlogMin: config.throttleBacklogMin } };
}

const settings = {
  schedulerId: setting.text({
    default: undefined,
    defaultText: "host name and a random suffix",
    variable: "SLUICE_SCHEDULER_ID",
    pattern: /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/,
    form: "1 to 128 letters, digits, `.`, `_` or `-`",
    why: "Name in the cluster; unique, and another one in every life of the process.",
  }),
  joinTokens: joinTokensSetting,
  httpHost: setting.text({ default: "127.0.0.1", why: "Address that /healthz, /readyz and /metrics listen on." }),
  httpPort: setting.integer({
    default: 8_082,
    min: 0,
    max: 65_535,
    why: "Port of /healthz, /readyz and /metrics; 0 takes a free one.",
  }),
  leaseProfile: setting.choice({
    default: "default",
    of: ["default", "fast"],
    why: "How soon others take over after a crash: about 6 s, or 2 s where etcd and network are quick.",
  }),
  capacity: setting.decimal({
    default: defaultSchedulerConfig.capacity,
    min: 0.1,
    max: 1_000,
    why: "How much it takes on, relative to the other schedulers.",
  }),
  lookAheadTasksMax: setting.integer({
    default: defaultSchedulerConfig.lookAheadTasksMax,
    min: 10_000,
    max: 10_000_000,
    unit: "tasks",
    why: "Waiting tasks that it holds in memory, about 40 bytes each; more costs memory, fewer fairness.",
  }),
  ownerLoadMax: setting.decimal({
    default: defaultOwnerLoadConfig.ownerLoadMax,
    min: 0.3,
    max: 1,
    why: "Share of the time; one that is busier for 20 s gives a partition, or half of one, to another; 1: never.",
  }),
  ...throttleSettings,
  ...retentionSettings,
  ...backendSettings,
  ...tlsSettings,
  logLevel: setting.choice({ default: "info", of: ["debug", "info", "warn", "error"], why: "Least severe log lines." }),
};

export const schedulerSpec: ConfigSpec<typeof settings> = {
  service: "scheduler",
  summary: "Owns partitions of the queues and dispatches their tasks to agents. Serves until SIGTERM.",
  settings,
  checks: [backendProblems, (config) => tlsProblems(config, { serves: false })],
};
export type SchedulerProcessConfig = ConfigOf<typeof settings>;
