import { createHash } from "node:crypto";
import { mkdirSync, realpathSync, rmSync } from "node:fs";
import type { Clock } from "@sluice/core";
import { leftoverTargets } from "../instances/cgroup.ts";
import { deadHolders, livingHolders } from "./host-lock.mjs";
import { killTargets } from "./kill-tree.mjs";

const pollMs = 50;

/**
 * Waits until the watchdog of an earlier agent on `dataDir` has killed that agent's instances and released the lock.
 * When that watchdog was itself killed, it kills what it left behind. `startWatchdog` calls this and then takes the
 * lock; call it alone only to wait.
 */
export async function acquireHostLock(
  dataDir: string,
  { clock, signal }: { clock: Clock; signal?: AbortSignal },
): Promise<void> {
  mkdirSync(dataDir, { recursive: true });
  while (livingHolders(dataDir).length > 0) {
    signal?.throwIfAborted();
    await clock.sleep(pollMs, signal);
  }
  const dead = deadHolders(dataDir);
  if (dead.length > 0) await killLeftovers(dataDir, clock);
  for (const { path } of dead) rmSync(path, { force: true });
}

/** Names everything that belongs to one data directory, on this host: cgroups, and the environment of processes. */
export function scopeOf(dataDir: string): string {
  return createHash("sha256").update(realpathSync(dataDir)).digest("hex").slice(0, 12);
}

/** The environment variable that marks every process of every instance of a scope. */
export const scopeVariable = "SLUICE_SCOPE";

async function killLeftovers(dataDir: string, clock: Clock): Promise<void> {
  const scope = scopeOf(dataDir);
  const options = { graceMs: 0, sleep: (ms: number) => clock.sleep(ms), now: () => clock.monotonic() };
  await killTargets(leftoverTargets(scope), options);
  await killTargets([{ id: scope, marker: `${scopeVariable}=${scope}`, cgroups: [] }], options);
}
