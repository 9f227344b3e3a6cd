import { AppError } from "@sluice/core";
import { Command, Option } from "commander";
import type { Setting } from "./setting.ts";

export type Settings = Readonly<Record<string, Setting<unknown>>>;
export type ConfigOf<S extends Settings> = {
  readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : never;
};

export interface ConfigSpec<S extends Settings> {
  /** Part of the variables' names, such as `scheduler`; empty for standalone, whose variables are `SLUICE_<NAME>`. */
  readonly service: string;
  /** Shown by `--help`. */
  readonly summary: string;
  /** By their names in the code; `pullBatchSize` is the flag `--pull-batch-size`. */
  readonly settings: S;
  /**
   * What is wrong with several values together; each that a check looks at is right by itself. One that looks at a value
   * that is wrong or missing is left out.
   */
  readonly checks?: readonly ((config: ConfigOf<S>) => readonly string[])[];
}

export interface ConfigSources {
  /** Without the interpreter and the script. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Some settings are wrong; the message lists all of them. */
export class ConfigError extends AppError {
  override readonly name = "ConfigError";
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super("invalid", "INVALID_CONFIG", `${problems.map((problem) => `  ${problem}`).join("\n")}\nSee --help.`);
    this.problems = problems;
  }
}

/** Frozen settings from flags, then variables, then defaults. Throws `ConfigError`; ignores `--help`. */
export function parseConfig<S extends Settings>(spec: ConfigSpec<S>, sources: ConfigSources): ConfigOf<S> {
  const flags = readFlags(spec, sources.argv);
  const problems: string[] = [...flags.problems];
  const values: Record<string, unknown> = {};
  const wrong = new Set<string>();
  for (const [name, setting] of Object.entries(spec.settings)) {
    const given = flags.values.get(name) ?? variableOf(spec.service, name, setting, sources.env);
    if (given === undefined) {
      values[name] = setting.default;
      if (setting.isRequired) {
        wrong.add(name);
        problems.push(`${howToGive(spec.service, name, setting)} is missing: ${setting.why}`);
      }
      continue;
    }
    const parsed = given.text === undefined ? { problem: "needs a value" } : setting.parse(given.text);
    if ("value" in parsed) values[name] = parsed.value;
    else {
      wrong.add(name);
      problems.push(`${given.source} ${parsed.problem}${shown(setting, given.text)}`);
    }
  }
  problems.push(...problemsTogether(spec, values, wrong));
  if (problems.length > 0) throw new ConfigError(problems);
  return Object.freeze(values) as ConfigOf<S>;
}

function problemsTogether<S extends Settings>(
  { checks = [] }: ConfigSpec<S>,
  values: Readonly<Record<string, unknown>>,
  wrong: ReadonlySet<string>,
): string[] {
  const config = new Proxy(values, {
    get(target, name) {
      if (wrong.has(String(name))) throw new LooksAtWrongValue();
      return target[String(name)];
    },
  }) as ConfigOf<S>;
  return checks.flatMap((check) => {
    try {
      return check(config);
    } catch (error) {
      if (error instanceof LooksAtWrongValue) return [];
      throw error;
    }
  });
}
class LooksAtWrongValue extends Error {}

/** Every flag with its variable, unit and default. */
export function helpText<S extends Settings>(spec: ConfigSpec<S>): string {
  const secrets = Object.entries(spec.settings).filter(([, setting]) => setting.isSecret);
  const lines = secrets.map(([name, setting]) => `  ${variableNameOf(spec.service, name, setting)}  ${setting.why}\n`);
  const secretsText = secrets.length === 0 ? "" : `\nOnly from the environment:\n${lines.join("")}`;
  return `${commandOf(spec).helpInformation()}${secretsText}`;
}

/** One setting, as pages and tests list it. */
export interface SettingDescription {
  /** Undefined: a secret, which has none. */
  readonly flag: string | undefined;
  readonly variable: string;
  readonly unit: string | undefined;
  /** How the default reads; undefined: there is none. */
  readonly default: string | undefined;
  readonly isRequired: boolean;
  readonly why: string;
}

/** Every setting, in the order of the spec. */
export function describeSettings<S extends Settings>(spec: ConfigSpec<S>): SettingDescription[] {
  return Object.entries(spec.settings).map(([name, setting]) => ({
    flag: setting.isSecret ? undefined : flagOf(name),
    variable: variableNameOf(spec.service, name, setting),
    unit: setting.unit,
    default: setting.defaultText,
    isRequired: setting.isRequired,
    why: setting.why,
  }));
}

/**
 * The settings of this process. On `--help` prints the help and exits with 0; when anything is wrong, prints everything
 * that is and exits with 2. For `main.ts`.
 */
export function readConfig<S extends Settings>(spec: ConfigSpec<S>): ConfigOf<S> {
  const argv = process.argv.slice(2);
  if (argv.includes("--help") || argv.includes("-h")) {
    process.stdout.write(helpText(spec));
    process.exit(0);
  }
  try {
    return parseConfig(spec, { argv, env: process.env });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${nameOf(spec.service)}: cannot start, the configuration is wrong:\n${error.message}\n`);
    process.exit(2);
  }
}

type CommandSpec = Pick<ConfigSpec<Settings>, "service" | "summary" | "settings">;

interface Given {
  /** The flag or the variable, for messages. */
  readonly source: string;
  /** Undefined: the flag came without a value. */
  readonly text: string | undefined;
}

function readFlags(spec: CommandSpec, argv: readonly string[]) {
  const command = commandOf(spec);
  // Not `parse`, which stops at the first problem, and reads the environment by itself.
  const { operands, unknown } = command.parseOptions([...argv]);
  const problems = [...operands, ...unknown].map((argument) =>
    argument.startsWith("-") ? `${argument} is not a flag` : `${JSON.stringify(argument)} belongs to no flag`,
  );
  const values = new Map<string, Given>();
  for (const [name, setting] of Object.entries(spec.settings)) {
    if (setting.isSecret) continue;
    const value: unknown = command.getOptionValue(name);
    if (value === undefined) continue;
    const bare = setting.isSwitch ? "true" : undefined;
    values.set(name, { source: flagOf(name), text: value === true ? bare : String(value) });
  }
  return { values, problems };
}

function commandOf(spec: CommandSpec): Command {
  const command = new Command(nameOf(spec.service)).description(spec.summary).usage("[flags]");
  command.configureHelp({ helpWidth: 120 }).helpOption("-h, --help", "show this and exit");
  for (const [name, setting] of Object.entries(spec.settings)) {
    if (setting.isSecret) continue;
    const variable = variableNameOf(spec.service, name, setting);
    const about = `${setting.why} (${defaultOf(setting)}${variable})`;
    // The value is optional to the parser so that a missing one is reported together with everything else.
    command.addOption(new Option(`${flagOf(name)} [${setting.unit ?? "value"}]`, about));
  }
  return command;
}

function defaultOf(setting: Setting<unknown>): string {
  if (setting.isRequired) return "required; ";
  return setting.defaultText === undefined ? "" : `default: ${setting.defaultText}; `;
}

function variableOf(
  service: string,
  name: string,
  setting: Setting<unknown>,
  env: ConfigSources["env"],
): Given | undefined {
  const variable = variableNameOf(service, name, setting);
  const value = env[variable];
  // `NAME=` is how shells and compose files say "not set".
  return value === undefined || value === "" ? undefined : { source: variable, text: value };
}

function variableNameOf(service: string, name: string, setting: Setting<unknown>): string {
  const words = [service.replaceAll("-", "_"), snakeOf(name)].filter((word) => word !== "");
  return setting.variable ?? `SLUICE_${words.join("_").toUpperCase()}`;
}

function howToGive(service: string, name: string, setting: Setting<unknown>): string {
  const variable = variableNameOf(service, name, setting);
  return setting.isSecret ? variable : `${flagOf(name)} (${variable})`;
}

function shown(setting: Setting<unknown>, value: string | undefined): string {
  return setting.isSecret || value === undefined ? "" : `, not ${JSON.stringify(value)}`;
}

function nameOf(service: string): string {
  return service === "" ? "sluice" : `sluice-${service}`;
}

function flagOf(name: string): string {
  return `--${snakeOf(name).replaceAll("_", "-")}`;
}

/** `pullBatchSize` → `pull_batch_size` */
function snakeOf(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
