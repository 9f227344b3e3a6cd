import { cpus } from "node:os";
import { setting } from "@sluice/runtime";

const MiB = 2 ** 20;

/** What can be set of an agent's work, in a process of its own and in standalone alike. */
export const agentSettings = {
  slots: setting.integer({ default: 64, min: 1, max: 10_000, why: "Attempts that run at the same time." }),
  instancesMax: setting.integer({
    default: Math.max(4, cpus().length * 2),
    defaultText: "two per CPU, at least 4",
    min: 1,
    max: 1_000,
    why: "Processes that run handlers, all functions together.",
  }),
  codeCacheBytes: setting.bytes({
    default: 1024 * MiB,
    min: 64 * MiB,
    max: 2 ** 40,
    why: "Unpacked function code that is kept on disk.",
  }),
  drainMs: setting.durationMs({
    default: 10_000,
    min: 0,
    max: 24 * 3_600_000,
    why: "At a graceful stop, how long running attempts may go on; then they are handed back and run again.",
  }),
};
