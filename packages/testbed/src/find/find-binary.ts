import { spawnSync } from "node:child_process";
import { accessSync, constants, readdirSync, realpathSync } from "node:fs";
import { delimiter, join } from "node:path";
import { AppError } from "@sluice/core";
import { fetchPackage } from "./fetch-package.ts";

/** A program of a backend, on the PATH or as a private copy. */
export interface Binary {
  readonly path: string;
  /** Such as `3.4.23`. */
  readonly version: string;
  /** What it must have in its environment: where the libraries of a private copy are. */
  readonly env: Readonly<Record<string, string>>;
}

export interface BinarySpec {
  /** As it is called on the PATH. */
  readonly name: "etcd" | "nats-server" | "postgres";
  /** Overrides the search with a path. */
  readonly variable: string;
  /** Looked through after the PATH; `*` stands for versions, the highest first. */
  readonly folders: readonly string[];
  /** The Debian package, or the pattern of the versioned names of which the highest is taken. */
  readonly debianPackage: string | RegExp;
  /** How other people install it. */
  readonly hint: string;
}

const found = new Map<string, Promise<Binary>>();

/**
 * On the PATH, else as a private copy of the Debian package, which is fetched the first time. Throws `BACKEND_MISSING`, which
 * says what to install.
 */
export function findBinary(spec: BinarySpec): Promise<Binary> {
  const known = found.get(spec.name);
  if (known) return known;
  const finding = find(spec);
  found.set(spec.name, finding);
  // The next caller may have a network.
  finding.catch(() => found.delete(spec.name));
  return finding;
}

async function find(spec: BinarySpec): Promise<Binary> {
  const chosen = process.env[spec.variable];
  if (chosen) {
    if (isExecutable(chosen)) return { path: realpathSync(chosen), version: versionOf(chosen, {}), env: {} };
    throw new AppError("precondition", "BACKEND_MISSING", `${spec.variable}=${chosen} is no program`);
  }
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), ...spec.folders.flatMap(expand)];
  const path = folders.map((folder) => join(folder, spec.name)).find(isExecutable);
  // A link's target, because PostgreSQL has its other programs and its files relative to where it is.
  if (path !== undefined) return { path: realpathSync(path), version: versionOf(path, {}), env: {} };
  const copy = await fetchPackage(spec);
  return { ...copy, version: versionOf(copy.path, copy.env) };
}

// The folders that a pattern such as `/usr/lib/postgresql/*/bin` stands for, the highest version first.
function expand(pattern: string): string[] {
  const [before, after] = pattern.split("*");
  if (before === undefined || after === undefined) return [pattern];
  try {
    const names = readdirSync(before).sort((a, b) => b.localeCompare(a, "en", { numeric: true }));
    return names.map((name) => `${before}${name}${after}`);
  } catch {
    return [];
  }
}

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function versionOf(path: string, env: Readonly<Record<string, string>>): string {
  const { stdout, stderr } = spawnSync(path, ["--version"], { encoding: "utf8", env: { ...env } });
  const version = /(\d+(?:\.\d+)+\S*)/.exec(stdout ?? "")?.[1];
  if (version !== undefined) return version;
  throw new AppError("precondition", "BACKEND_MISSING", `${path} --version says no version, but: ${stdout}${stderr}`);
}
