// How much memory the host has left. An agent that goes on taking work until the kernel looks for a victim may be that victim,
// and with it everything that it runs: it says busy before that.
import { readFileSync } from "node:fs";
import { freemem, totalmem } from "node:os";
import type { Clock } from "@sluice/core";
import { readOwnMemory } from "./cgroup.ts";

export interface HostMemory {
  readonly totalMb: number;
  /** What can be had without swapping. */
  readonly availableMb: number;
}

/** Of the host, or of the agent's cgroup where that has less. */
export function readHostMemory(): HostMemory {
  const host = { totalMb: mb(totalmem()), availableMb: readAvailableMb() ?? mb(freemem()) };
  const own = readOwnMemory();
  if (!own || own.limitBytes >= totalmem()) return host;
  const leftMb = Math.max(0, mb(own.limitBytes - own.usedBytes));
  return { totalMb: mb(own.limitBytes), availableMb: Math.min(host.availableMb, leftMb) };
}

export interface MemoryWatchOptions {
  readonly clock: Clock;
  readonly read: () => HostMemory;
}

/** Below this part of all, nothing more is started; */
const shortBelow = 0.05;
/** and above this part it is again. */
const fineAbove = 0.08;
/** Whoever asks more often gets the last answer. */
const readEveryMs = 500;

/** Whether the host is short of memory. */
export function createMemoryWatch({ clock, read }: MemoryWatchOptions): () => boolean {
  let isShort = false;
  let readAt = Number.NEGATIVE_INFINITY;
  return () => {
    const now = clock.monotonic();
    if (now - readAt < readEveryMs) return isShort;
    readAt = now;
    const { totalMb, availableMb } = read();
    isShort = availableMb < totalMb * (isShort ? fineAbove : shortBelow);
    return isShort;
  };
}

function readAvailableMb(): number | undefined {
  try {
    const kib = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync("/proc/meminfo", "latin1"))?.[1];
    return kib === undefined ? undefined : Number(kib) / 1024;
  } catch {
    // Not Linux.
    return undefined;
  }
}

function mb(bytes: number): number {
  return bytes / 2 ** 20;
}
