import { runService } from "@sluice/runtime";
import { runScheduler } from "./process/run.ts";
import { schedulerSpec } from "./process/settings.ts";

await runService(schedulerSpec, {
  // Hand-offs take a second; the rest is for what does not answer.
  stopWithinMs: () => 20_000,
  run: runScheduler,
});
