/** One setting of a service. `T` is the type of its value. */
export interface Setting<T> {
  /** One line: what it is for, or what happens when it is larger or smaller. */
  readonly why: string;
  /** Shown in the help, such as `ms`. */
  readonly unit: string | undefined;
  readonly default: T;
  /** How the default reads in the help. */
  readonly defaultText: string | undefined;
  /** There is no default; leaving it out is a problem. */
  readonly isRequired: boolean;
  /** Only from the environment: command lines can be read by everybody on the host. */
  readonly isSecret: boolean;
  /** Whether the flag may stand alone, meaning `true`. */
  readonly isSwitch: boolean;
  /** Instead of `SLUICE_<SERVICE>_<NAME>`. */
  readonly variable: string | undefined;
  /** The value of a text, or what is wrong with it: `must be …`. */
  parse(text: string): { readonly value: T } | { readonly problem: string };
}

export interface SettingOptions<D> {
  readonly why: string;
  readonly default: D;
  /** How the default reads in the help, where it depends on the machine or is made at the start. */
  readonly defaultText?: string;
  readonly variable?: string;
}

/** What a text must look like, and how to say so: `must be <form>`. */
export interface Form {
  readonly pattern?: RegExp;
  readonly form?: string;
}

export function text<D extends string | undefined>(options: SettingOptions<D> & Form): Setting<string | D> {
  return setting(options, { parse: (raw) => (matches(raw, options) ? { value: raw } : mismatch(options)) });
}

/** A text that neither the help, an error message nor a flag ever shows. */
export function secret<D extends string | undefined>(options: SettingOptions<D> & Form): Setting<string | D> {
  return setting(options, {
    isSecret: true,
    parse: (raw) => (matches(raw, options) ? { value: raw } : mismatch(options)),
  });
}

export interface Range {
  readonly min: number;
  readonly max: number;
}

export function integer<D extends number | undefined>(
  options: SettingOptions<D> & Range & { readonly unit?: string },
): Setting<number | D> {
  return setting(options, {
    unit: options.unit,
    parse: (raw) => inRange(/^-?\d+$/.test(raw) ? Number(raw) : Number.NaN, options, "a whole number"),
  });
}

export function decimal<D extends number | undefined>(
  options: SettingOptions<D> & Range & { readonly unit?: string },
): Setting<number | D> {
  return setting(options, {
    unit: options.unit,
    parse: (raw) => inRange(/^-?\d+(\.\d+)?$/.test(raw) ? Number(raw) : Number.NaN, options, "a number"),
  });
}

const durationUnits = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
/** Milliseconds; `1500`, `1500ms`, `90s`, `5m`, `24h` or `7d`. */
export function durationMs<D extends number | undefined>(options: SettingOptions<D> & Range): Setting<number | D> {
  return setting(options, {
    unit: "ms",
    defaultText: options.defaultText ?? inUnits(options.default, durationUnits),
    parse: (raw) => inRange(quantity(raw, durationUnits), options, "a duration such as 500ms, 10s, 5m, 24h or 7d"),
  });
}

const byteUnits = { "": 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };
/** Bytes; `4096`, `128KiB`, `4MiB` or `1GiB`. */
export function bytes<D extends number | undefined>(options: SettingOptions<D> & Range): Setting<number | D> {
  return setting(options, {
    unit: "bytes",
    defaultText: options.defaultText ?? inUnits(options.default, byteUnits),
    parse: (raw) => inRange(quantity(raw, byteUnits), options, "a size such as 4096, 128KiB or 4MiB"),
  });
}

export function choice<const C extends string>(options: SettingOptions<C> & { readonly of: readonly C[] }): Setting<C> {
  return setting<C, C>(options, {
    unit: options.of.join("|"),
    parse: (raw) => {
      const value = options.of.find((candidate) => candidate === raw);
      return value === undefined ? { problem: `must be one of ${options.of.join(", ")}` } : { value };
    },
  });
}

/** `--flag`, `--flag true` or `--flag false`. */
export function boolean(options: SettingOptions<boolean>): Setting<boolean> {
  return setting<boolean, boolean>(options, {
    isSwitch: true,
    parse: (raw) => {
      if (raw === "true" || raw === "1") return { value: true };
      if (raw === "false" || raw === "0") return { value: false };
      return { problem: "must be true or false" };
    },
  });
}

/** Texts separated by commas; the form is that of each. */
export function list(options: SettingOptions<readonly string[]> & Form): Setting<readonly string[]> {
  return setting<readonly string[], readonly string[]>(options, {
    unit: "a,b,…",
    defaultText: options.defaultText ?? (options.default.length === 0 ? undefined : options.default.join(",")),
    parse: (raw) => {
      const items = raw.split(",").map((item) => item.trim());
      if (items.includes("")) return { problem: "must be texts separated by commas" };
      return items.every((item) => matches(item, options)) ? { value: Object.freeze(items) } : mismatch(options);
    },
  });
}

/** The same setting without a default. */
export function required<T>(optional: Setting<T | undefined>): Setting<T> {
  return { ...(optional as Setting<T>), isRequired: true, defaultText: undefined };
}

function setting<T, D>(
  options: SettingOptions<D>,
  kind: Pick<Setting<T>, "parse"> & Partial<Setting<T>>,
): Setting<T | D> {
  return {
    why: options.why,
    default: options.default,
    defaultText: options.defaultText ?? (options.default === undefined ? undefined : String(options.default)),
    variable: options.variable,
    unit: undefined,
    isRequired: false,
    isSecret: false,
    isSwitch: false,
    ...kind,
  };
}

/** As a person would write it: in the largest unit that fits evenly. */
function inUnits(value: number | undefined, units: Readonly<Record<string, number>>): string | undefined {
  if (value === undefined) return undefined;
  const [unit, scale] = Object.entries(units).findLast(([, each]) => value >= each && value % each === 0) ?? ["", 1];
  return `${value / scale}${unit}`;
}

function matches(raw: string, { pattern }: Form): boolean {
  return pattern === undefined || pattern.test(raw);
}

function mismatch({ form = "another text" }: Form): { problem: string } {
  return { problem: `must be ${form}` };
}

function inRange(value: number, { min, max }: Range, form: string): { value: number } | { problem: string } {
  return value >= min && value <= max ? { value } : { problem: `must be ${form} from ${min} to ${max}` };
}

function quantity(raw: string, units: Readonly<Record<string, number>>): number {
  const [, count, unit = ""] = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(raw) ?? [];
  const scale = unit === "" ? 1 : units[unit];
  return count === undefined || scale === undefined ? Number.NaN : Math.round(Number(count) * scale);
}
