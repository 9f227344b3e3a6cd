// Dependencies of another checkout: the same ones as ours are linked, others installed.
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { AppError } from "@sluice/core";

const run = promisify(execFile);
const scope = "@sluice";

export interface Checkouts {
  /** With its dependencies installed. */
  readonly ours: string;
  readonly theirs: string;
  readonly signal?: AbortSignal | undefined;
}

/** Says how they got there. Throws `INSTALL_FAILED`. */
export async function provideDependencies({ ours, theirs, signal }: Checkouts): Promise<"linked" | "installed"> {
  if (areCovered(lockOf(theirs), lockOf(ours)) && existsSync(join(ours, "node_modules"))) {
    linkAll(ours, theirs);
    return "linked";
  }
  try {
    const args = ["ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"];
    await run("npm", args, { cwd: theirs, maxBuffer: 64 * 2 ** 20, ...(signal && { signal }) });
  } catch (cause) {
    signal?.throwIfAborted();
    const { stderr = "" } = cause as { stderr?: string };
    const message = `npm ci in ${theirs} failed: its dependencies are others than ours, and have to be downloaded.\n${stderr}`;
    throw new AppError("unavailable", "INSTALL_FAILED", message.trimEnd(), { cause });
  }
  return "installed";
}

interface Locked {
  readonly version?: string;
  readonly integrity?: string;
  readonly link?: boolean;
}
/** By path, such as `node_modules/tsx`. */
export type Lock = Readonly<Record<string, Locked>>;

/** Whether everything that the one needs, apart from our own packages, is there in the other in the same version. */
export function areCovered(needed: Lock, there: Lock): boolean {
  return Object.entries(needed).every(([path, { version, integrity, link }]) => {
    if (link || !path.includes("node_modules/")) return true;
    const found = there[path];
    return found?.version === version && found?.integrity === integrity;
  });
}

function lockOf(checkout: string): Lock {
  const { packages } = JSON.parse(readFileSync(join(checkout, "package-lock.json"), "utf8")) as { packages: Lock };
  return packages;
}

/** Not the folder as a whole: in ours, `@sluice/…` are links to our own packages. */
function linkAll(ours: string, theirs: string): void {
  linkEntries(join(ours, "node_modules"), join(theirs, "node_modules"));
  mkdirSync(join(theirs, "node_modules", scope), { recursive: true });
  for (const folder of readdirSync(join(theirs, "packages"))) {
    const manifest = join(theirs, "packages", folder, "package.json");
    if (!existsSync(manifest)) continue;
    const { name } = JSON.parse(readFileSync(manifest, "utf8")) as { name: string };
    symlinkSync(join("../../packages", folder), join(theirs, "node_modules", name));
    const nested = join(ours, "packages", folder, "node_modules");
    if (existsSync(nested)) linkEntries(nested, join(theirs, "packages", folder, "node_modules"));
  }
}

function linkEntries(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  // Hidden ones are caches, and npm's own list.
  const entries = readdirSync(from).filter((entry) => !entry.startsWith(".") && entry !== scope);
  for (const entry of entries) symlinkSync(join(from, entry), join(to, entry));
}
