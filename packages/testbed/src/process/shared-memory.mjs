// PostgreSQL holds a few bytes of System V shared memory, by which it sees that another server uses its folder. A server that
// is killed cannot give them back.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Releases what the killed server of `<folder>/data` left; nothing when it ended by itself, or never was there. */
export function removeSharedMemory(folder) {
  try {
    const id = /^\s*\d+\s+(\d+)\s*$/.exec(readFileSync(join(folder, "data", "postmaster.pid"), "utf8").split("\n")[6]);
    if (id) spawnSync("ipcrm", ["-m", id[1]], { stdio: "ignore" });
  } catch {
    // There is no such file: nothing is left.
  }
}
