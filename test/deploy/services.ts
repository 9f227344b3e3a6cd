// What the services say about themselves, against which the examples of `deploy/` are checked.
import { type ConfigSpec, helpText, parseConfig, type Settings } from "@sluice/runtime";
import { agentSpec } from "../../packages/agent/src/process/settings.ts";
import { apiServerSpec } from "../../packages/api-server/src/process/settings.ts";
import { schedulerSpec } from "../../packages/scheduler/src/process/settings.ts";
import { standaloneSpec } from "../../packages/standalone/src/settings.ts";
import { textOf } from "./compose-file.ts";

export type ServiceName = "api-server" | "scheduler" | "agent" | "standalone";

interface KnownService {
  /** Variables that it reads. */
  readonly variables: ReadonlySet<string>;
  /** The values of its settings in such an environment; throws `ConfigError` with everything that is wrong. */
  configOf(environment: Readonly<Record<string, string>>): Readonly<Record<string, unknown>>;
}

export const services: Readonly<Record<ServiceName, KnownService>> = {
  "api-server": known(apiServerSpec),
  scheduler: known(schedulerSpec),
  agent: known(agentSpec),
  standalone: known(standaloneSpec),
};

function known<S extends Settings>(spec: ConfigSpec<S>): KnownService {
  return {
    variables: new Set(helpText(spec).match(/\bSLUICE_[A-Z_]+\b/g)),
    configOf: (env) => parseConfig(spec, { argv: [], env }),
  };
}

/** How long its graceful stop may take by its own limit. */
export function stopWithinMs(name: ServiceName, config: Readonly<Record<string, unknown>>): number {
  const [, added, ms = ""] =
    /stopWithinMs: \((?:\{ \w+ \})?\) => (?:(\w+) \+ )?([\d_]+)/.exec(textOf(`packages/${name}/src/main.ts`)) ?? [];
  return (added ? Number(config[added]) : 0) + Number(ms.replaceAll("_", "") || Number.NaN);
}
