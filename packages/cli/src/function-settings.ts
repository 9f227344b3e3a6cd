// Options that are settings of a function.
import type { FunctionSettings } from "@sluice/client";
import { type Command, Option } from "commander";
import { parseCount, parseDuration, parseLimit, parseRate } from "./parse.ts";

/** What may be said with a folder of code, or without. */
export interface SettingOptions {
  readonly description?: string;
  readonly timeout?: number;
  readonly memory?: number;
  readonly instanceConcurrency?: number;
  readonly instancesMax?: number;
  readonly idleTimeout?: number;
  readonly retries?: number;
  readonly maxAge?: number;
}

/** What `sluice.json` says in a deployment. */
export interface FlowOptions {
  readonly concurrency?: number;
  readonly reserved?: number;
  readonly rate?: number;
  readonly burst?: number;
  readonly weight?: number;
  readonly preemptible?: Flag;
  readonly dedicatedQueue?: Flag;
  readonly latencySensitive?: Flag;
}

const flags = ["true", "false"] as const;
type Flag = (typeof flags)[number];

export function addSettings(command: Command): Command {
  return command
    .option("--description <text>", "for people")
    .option("--timeout <duration>", "time an attempt may take", parseDuration)
    .option("--memory <mib>", "memory of an instance", parseCount)
    .option("--instance-concurrency <count>", "attempts that an instance runs at the same time", parseCount)
    .option("--instances-max <count>", "instances on one agent", parseCount)
    .option("--idle-timeout <duration>", "time an idle instance is kept", parseDuration)
    .option("--retries <count>", "retries after a failed attempt: 0 to 8", parseCount)
    .option("--max-age <duration>", "time after which a task that was not started expires", parseDuration);
}

export function addFlowSettings(command: Command): Command {
  const flag = (name: string, description: string) =>
    new Option(`--${name} <true|false>`, description).choices([...flags]);
  return command
    .option("--concurrency <n>", "attempts at the same time in the whole cluster; none: no limit", parseLimit)
    .option("--rate <n>", "attempts that start per second; none: no limit", parseRate)
    .option("--burst <n>", "attempts that may start at once, with a rate; none: those of one second", parseLimit)
    .option("--reserved <n>", "how much of its account's concurrency is kept for it; none: nothing", parseLimit)
    .option("--weight <n>", "share among the functions of the account, 1 to 100", parseCount)
    .addOption(flag("preemptible", "whether its attempts may be stopped for more urgent tasks"))
    .addOption(flag("dedicated-queue", "whether it asks for a queue of its own"))
    .addOption(flag("latency-sensitive", "the same, with an instance kept warm"));
}

/** The settings that are given. */
export function settingsOf(options: SettingOptions): FunctionSettings {
  const { maxAge } = options;
  return onlyGiven({
    description: options.description,
    timeoutMs: options.timeout,
    memoryMb: options.memory,
    instanceConcurrency: options.instanceConcurrency,
    instancesMax: options.instancesMax,
    idleTimeoutMs: options.idleTimeout,
    maxAsyncRetryAttempts: options.retries,
    maxAsyncEventAgeInSeconds: maxAge === undefined ? undefined : Math.ceil(maxAge / 1_000),
  });
}

/** The same of flow control. */
export function flowSettingsOf(options: FlowOptions): FunctionSettings {
  const isOn = (flag: Flag | undefined) => (flag === undefined ? undefined : flag === "true");
  return onlyGiven({
    concurrencyMax: options.concurrency,
    concurrencyReserved: options.reserved,
    rateMax: options.rate,
    rateBurst: options.burst,
    weight: options.weight,
    preemptible: isOn(options.preemptible),
    dedicatedQueue: isOn(options.dedicatedQueue),
    latencySensitive: isOn(options.latencySensitive),
  });
}

/** By name, the option that takes a setting of flow control away, and what it is then. */
export const takenAway = {
  concurrencyMax: { option: "--concurrency none", value: 0 },
  concurrencyReserved: { option: "--reserved none", value: 0 },
  rateMax: { option: "--rate none", value: 0 },
  rateBurst: { option: "--burst none", value: 0 },
  weight: { option: "--weight 1", value: 1 },
  preemptible: { option: "--preemptible false", value: false },
  dedicatedQueue: { option: "--dedicated-queue false", value: false },
  latencySensitive: { option: "--latency-sensitive false", value: false },
} as const satisfies Partial<Record<keyof FunctionSettings, { readonly option: string; readonly value: unknown }>>;

export function onlyGiven<Settings extends object>(settings: Settings): FunctionSettings {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
}
