import { runService } from "@sluice/runtime";
import { agentSpec } from "./process/settings.ts";

await runService(agentSpec, {
  // After running attempts had their time: killing them, and waiting until what ended is recorded.
  stopWithinMs: ({ drainMs }) => drainMs + 40_000,
  // Loaded after the settings were found good: help and complaints come at once.
  run: async (service) => (await import("./process/run.ts")).runAgent(service, { environment: process.env }),
});
