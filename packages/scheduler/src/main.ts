import { runService } from "@sluice/runtime";
import { schedulerSpec } from "./process/settings.ts";

await runService(schedulerSpec, {
  // Hand-offs take a second; the rest is for what does not answer.
  stopWithinMs: () => 20_000,
  // Loaded after the settings were found good: help and complaints come at once.
  run: async (service) => (await import("./process/run.ts")).runScheduler(service),
});
