import { chownSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { guardFolder, unguardFolder } from "./process/guard.ts";
import type { User } from "./process/guarded-process.ts";

export interface Folder {
  readonly path: string;
  readonly isTemporary: boolean;
  /** Deletes it if it is temporary. */
  delete(): void;
}

/** The given folder, or a temporary one that goes with this process, if not before. */
export function openFolder(options: { name: string; path?: string | undefined; owner?: User | undefined }): Folder {
  const { name, owner } = options;
  const path = options.path === undefined ? mkdtempSync(join(tmpdir(), `sluice-${name}-`)) : resolve(options.path);
  const isTemporary = options.path === undefined;
  if (isTemporary) guardFolder(path);
  else mkdirSync(path, { recursive: true });
  if (owner) chownSync(path, owner.uid, owner.gid);
  return {
    path,
    isTemporary,
    delete() {
      if (!isTemporary) return;
      rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
      unguardFolder(path);
    },
  };
}
