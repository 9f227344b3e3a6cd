import { execFile } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { AppError } from "@sluice/core";
import { guardFolder, unguardFolder } from "../process/guard.ts";
import type { Binary, BinarySpec } from "./find-binary.ts";
import { servicesDir } from "./services-dir.ts";

/**
 * A private copy of a Debian package in `.services/<package>`: downloaded and unpacked, neither installed nor
 * started. Processes that do it at the same time do not disturb each other: the copy appears whole, by a rename.
 */
export async function fetchPackage(spec: BinarySpec): Promise<Omit<Binary, "version">> {
  try {
    const packageName = await nameOf(spec);
    const folder = join(servicesDir, packageName);
    if (!existsSync(folder)) await fetchInto(folder, packageName, spec);
    return programIn(folder, spec);
  } catch (cause) {
    const what = typeof spec.debianPackage === "string" ? spec.debianPackage : "postgresql";
    throw new AppError(
      "precondition",
      "BACKEND_MISSING",
      `${spec.name} is not on the PATH, and a private copy could not be fetched (${firstLineOf(cause)}). ` +
        `Install it: \`apt-get install ${what}\` on Debian and Ubuntu (Sluice starts its own server and does not need the ` +
        `one of the system), ${spec.hint}, or set ${spec.variable} to the path of the program.`,
      { cause },
    );
  }
}

async function nameOf({ debianPackage }: BinarySpec): Promise<string> {
  if (typeof debianPackage === "string") return debianPackage;
  const names = await run("apt-cache", ["pkgnames", debianPackage.source.replace(/^\^|\\d\+\$$/g, "")]);
  const versions = names.split("\n").filter((name) => debianPackage.test(name));
  const highest = versions.sort((a, b) => b.localeCompare(a, "en", { numeric: true }))[0];
  if (highest === undefined) throw new Error("apt-cache knows no such package");
  return highest;
}

async function fetchInto(folder: string, packageName: string, spec: BinarySpec): Promise<void> {
  mkdirSync(servicesDir, { recursive: true });
  const draft = mkdtempSync(join(servicesDir, `.${packageName}-`));
  guardFolder(draft);
  try {
    await unpack([packageName], draft);
    const missing = await missingLibraries(programIn(draft, spec));
    if (missing.length > 0) await unpack(await librariesOf(packageName), draft);
    const stillMissing = await missingLibraries(programIn(draft, spec));
    if (stillMissing.length > 0) throw new Error(`it lacks ${stillMissing.join(", ")}`);
    moveInto(folder, draft);
  } finally {
    rmSync(draft, { recursive: true, force: true });
    unguardFolder(draft);
  }
}

function moveInto(folder: string, draft: string): void {
  try {
    // PostgreSQL may run as another user than we.
    chmodSync(draft, 0o755);
    renameSync(draft, folder);
  } catch (cause) {
    // Somebody else was faster, with the same copy.
    if (!existsSync(folder)) throw cause;
  }
}

async function unpack(packages: readonly string[], into: string): Promise<void> {
  const downloads = join(into, "downloads");
  mkdirSync(downloads);
  await run("apt-get", ["download", "-q", ...packages], downloads);
  for (const name of readdirSync(downloads)) await run("dpkg", ["-x", join(downloads, name), into]);
  rmSync(downloads, { recursive: true });
}

function programIn(folder: string, { name }: BinarySpec): Omit<Binary, "version"> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((file) => file.isFile());
  // The package has a script of the same name in /etc/init.d.
  const program = files.find((file) => file.name === name && /\/s?bin$/.test(file.parentPath));
  if (!program) throw new Error(`the package has no ${name}`);
  const libraries = files.filter(
    (file) => /\/lib\/[^/]+-linux-[^/]+$/.test(file.parentPath) && /\.so\b/.test(file.name),
  );
  const paths = [...new Set(libraries.map((file) => file.parentPath))];
  return {
    path: join(program.parentPath, name),
    env: paths.length === 0 ? {} : { LD_LIBRARY_PATH: paths.join(":") },
  };
}

async function missingLibraries({ path, env }: Omit<Binary, "version">): Promise<string[]> {
  const listed = await run("ldd", [path], undefined, env);
  return [...listed.matchAll(/^\s*(\S+) => not found/gm)].map((match) => match[1] ?? "");
}

/**
 * All libraries that it depends on and that are not installed. Not those that only the just-in-time compiler needs, and not
 * what stands in for another one.
 */
async function librariesOf(packageName: string): Promise<string[]> {
  const kinds = ["recommends", "suggests", "conflicts", "breaks", "replaces", "enhances"].map((kind) => `--no-${kind}`);
  const listed = await run("apt-cache", ["depends", "--recurse", ...kinds, packageName]);
  const installed = new Set((await run("dpkg-query", ["-W", "-f", "$" + "{Package}\\n"])).split("\n"));
  const libraries = listed.split("\n").filter((name) => /^lib(?!llvm|z3|c6$|c-|perl|pam-|elogind)\S+$/.test(name));
  return [...new Set(libraries)].filter((name) => !installed.has(name) && !/-(?:perl|common|bin|modules)$/.test(name));
}

const execute = promisify(execFile);

async function run(command: string, args: readonly string[], cwd?: string, env?: Readonly<Record<string, string>>) {
  const plain = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C", ...env };
  const { stdout } = await execute(command, [...args], { env: plain, ...(cwd && { cwd }), maxBuffer: 2 ** 26 });
  return stdout;
}

function firstLineOf(cause: unknown): string {
  const lines = cause instanceof Error ? cause.message.split("\n") : [String(cause)];
  return lines.slice(0, 2).join(" ").trim();
}
