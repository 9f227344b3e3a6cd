import { execFile } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { AppError } from "@sluice/core";
import type { Binary } from "../find/find-binary.ts";
import { servicesDir } from "../find/services-dir.ts";
import { guardFolder, unguardFolder } from "../process/guard.ts";
import type { User } from "../process/guarded-process.ts";

const execute = promisify(execFile);

export interface InitOptions {
  readonly binary: Binary;
  /** Must not exist; its parent belongs to `user`. */
  readonly dataDir: string;
  /** Who runs the server; default: we. */
  readonly user: User | undefined;
  /** Name of the superuser. */
  readonly superuser: string;
}

/**
 * Makes an empty database folder. `initdb` takes one to two seconds, so its result is kept in `.services/` and copied from
 * there.
 */
export async function initFolder(options: InitOptions): Promise<void> {
  const { binary, dataDir, user } = options;
  const uid = user?.uid ?? process.getuid?.() ?? 0;
  const template = join(servicesDir, `postgres-${binary.version}-uid${uid}`);
  if (!existsSync(template) && !(await makeTemplate(template, options))) return initdb(options, dataDir);
  // Keeps owners and modes, without which the server refuses the folder.
  await execute("cp", ["-Rp", template, dataDir]);
}

/** Answers false when `.services/` cannot be written. */
async function makeTemplate(template: string, options: InitOptions): Promise<boolean> {
  let draft: string;
  try {
    mkdirSync(servicesDir, { recursive: true });
    draft = mkdtempSync(join(servicesDir, ".postgres-"));
  } catch {
    return false;
  }
  guardFolder(draft);
  try {
    chmodSync(draft, 0o700);
    if (options.user) chownSync(draft, options.user.uid, options.user.gid);
    await initdb(options, join(draft, "data"));
    renameSync(join(draft, "data"), template);
  } catch (error) {
    // Another process was faster, with the same result.
    if (!existsSync(template)) throw error;
  } finally {
    rmSync(draft, { recursive: true, force: true });
    unguardFolder(draft);
  }
  return true;
}

async function initdb({ binary, user, superuser }: InitOptions, dataDir: string): Promise<void> {
  const program = join(dirname(binary.path), "initdb");
  const flags = [`--pgdata=${dataDir}`, `--username=${superuser}`, "--auth=trust", "--encoding=UTF8", "--locale=C"];
  try {
    await execute(program, [...flags, "--no-sync"], {
      env: { ...binary.env, LC_ALL: "C", TZ: "GMT", PATH: "/usr/bin:/bin" },
      cwd: "/",
      ...(user && { uid: user.uid, gid: user.gid }),
    });
  } catch (cause) {
    const said = String((cause as { stderr?: unknown }).stderr ?? cause).trim();
    throw new AppError("precondition", "BACKEND_FAILED", `${program} cannot make ${dataDir}: ${said}`, { cause });
  }
}
