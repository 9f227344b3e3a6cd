import { readFileSync } from "node:fs";
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
