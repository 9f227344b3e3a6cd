import { randomBytes, randomFillSync } from "node:crypto";
import type { Random } from "@sluice/core";

/** The operating system's randomness; good enough for identifiers that must be unguessable. */
export const systemRandom: Random = {
  next,
  // Every draw is independent of every other already.
  fork: () => systemRandom,
  hex: (bytes) => randomBytes(bytes).toString("hex"),
};

// One system call per number would cost as much as the decisions that the numbers are for.
const pool = Buffer.alloc(4096);
let used = pool.length;

function next(): number {
  if (used + 8 > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const high = pool.readUInt32LE(used) >>> 5;
  const low = pool.readUInt32LE(used + 4) >>> 6;
  used += 8;
  return (high * 2 ** 26 + low) / 2 ** 53;
}
