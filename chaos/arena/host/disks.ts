// Small disks: file systems in memory of a fixed size. In the folder of a cluster a link stands where the part has its data,
// so that whoever deletes that folder, in order or not, does not stumble over a mount.
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { AppError } from "@sluice/core";
import { diskDevice } from "./leftovers.ts";
import { run, runs } from "./run.ts";

export interface Disks extends Disposable {
  /** Puts the links into the folder of a cluster. */
  attach(dataDir: string): void;
  /** Throw `FAULT_IMPOSSIBLE` for a part without a small disk. */
  fill(part: string): Promise<void>;
  free(part: string): Promise<void>;
  heal(): Promise<void>;
}

export const noDisks: Disks = {
  attach() {},
  fill: async (part) => Promise.reject(noDiskOf(part)),
  free: async (part) => Promise.reject(noDiskOf(part)),
  async heal() {},
  [Symbol.dispose]() {},
};

/** @param sizes of disks in MiB, by the name of a backend or an agent. Needs root on Linux. */
export function openDisks(sizes: Readonly<Record<string, number>>): Disks {
  const parts = Object.keys(sizes);
  const wrong = parts.find((part) => !/^(?:agent-\d+|etcd(?:-\d)?|nats-\d|postgres)$/.test(part));
  if (wrong !== undefined) throw new AppError("invalid", "NO_SUCH_DISK", `${wrong} has no data of its own`);
  const folder = mkdtempSync(join(tmpdir(), `${diskDevice}-`));
  // PostgreSQL runs as nobody.
  chmodSync(folder, 0o711);
  const diskOf = (part: string) => {
    if (!parts.includes(part)) throw noDiskOf(part);
    return join(folder, part);
  };
  const close = () => {
    for (const part of parts) runs("umount", diskOf(part)) || runs("umount", "--lazy", diskOf(part));
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    for (const [part, size] of Object.entries(sizes)) {
      mkdirSync(diskOf(part));
      run("mount", "-t", "tmpfs", "-o", `size=${size}m,mode=0711`, diskDevice, diskOf(part));
      mkdirSync(dataOn(diskOf(part)), { mode: 0o700 });
    }
  } catch (error) {
    close();
    throw error;
  }
  const free = (part: string) => rm(ballastOn(diskOf(part)), { force: true });
  return {
    attach(dataDir) {
      for (const part of parts) {
        const place = part.startsWith("agent-") ? join(dataDir, "agents", part) : join(dataDir, part);
        mkdirSync(dirname(place), { recursive: true });
        symlinkSync(dataOn(diskOf(part)), place);
      }
    },
    fill: async (part) => writeUntilFull(ballastOn(diskOf(part))),
    free: async (part) => free(part),
    async heal() {
      for (const part of parts) await free(part);
    },
    [Symbol.dispose]: close,
  };
}

const dataOn = (disk: string) => join(disk, "data");
const ballastOn = (disk: string) => join(disk, "ballast");

async function writeUntilFull(path: string): Promise<void> {
  const file = await open(path, "a");
  try {
    // The last ones fill what a large one leaves.
    for (const size of [2 ** 20, 2 ** 12, 1]) await appendUntilFull(file, Buffer.alloc(size));
  } finally {
    await file.close();
  }
}

async function appendUntilFull(file: { appendFile(bytes: Buffer): Promise<void> }, bytes: Buffer): Promise<void> {
  for (;;) {
    try {
      await file.appendFile(bytes);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOSPC") return;
      throw error;
    }
  }
}

function noDiskOf(part: string): AppError {
  return new AppError("precondition", "FAULT_IMPOSSIBLE", `${part} has no small disk of its own`);
}
