import { readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { AppError } from "@sluice/core";
import type { User } from "../process/guarded-process.ts";

/** Who PostgreSQL runs as, which refuses to be root: `nobody` when we are, else undefined, which is ourselves. */
export function unprivilegedUser(): User | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const line = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((each) => each.startsWith("nobody:"));
  const [, , uid, gid] = line?.split(":") ?? [];
  if (uid === undefined || gid === undefined) {
    throw new AppError("precondition", "NO_UNPRIVILEGED_USER", "PostgreSQL refuses root, and there is no user nobody");
  }
  return { uid: Number(uid), gid: Number(gid) };
}

/** Says so now: the server itself would only say that there is no such file. */
export function refuseUnreachable(path: string, { uid, gid }: User): void {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    const stat = statSync(folder);
    const isOpen = stat.mode & (stat.uid === uid ? 0o100 : stat.gid === gid ? 0o010 : 0o001);
    if (!isOpen) {
      throw new AppError(
        "precondition",
        "FOLDER_UNREACHABLE",
        `PostgreSQL refuses to run as root and runs as nobody, who may not enter ${folder}, on the way to ${path}; ` +
          "use a folder that everybody may enter (of data: TMPDIR or --data-dir), or start as another user",
      );
    }
    if (folder === dirname(folder)) return;
  }
}
