import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
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

export interface FolderOptions {
  /** Part of the name of a temporary one. */
  readonly name: string;
  /** Default: a temporary one, which goes with this process, if not before. */
  readonly path?: string | undefined;
  /** Default: we. */
  readonly owner?: User | undefined;
  /** Of a folder that is made; default 0o700. One that was there keeps its own. */
  readonly mode?: number;
}

export function openFolder(options: FolderOptions): Folder {
  const { name, owner, mode = 0o700 } = options;
  const path = options.path === undefined ? mkdtempSync(join(tmpdir(), `sluice-${name}-`)) : resolve(options.path);
  const isTemporary = options.path === undefined;
  if (isTemporary) {
    guardFolder(path);
    chmodSync(path, mode);
  } else mkdirSync(path, { recursive: true, mode });
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
