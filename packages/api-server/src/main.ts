import { runService } from "@sluice/runtime";
import { apiServerSpec } from "./process/settings.ts";

await runService(apiServerSpec, {
  // After callers had their time to go: inserts that are under way, announcements, calls, connections.
  stopWithinMs: ({ leaveMs }) => leaveMs + 30_000,
  // Loaded after the settings were found good: help and complaints come at once.
  run: async (service) => (await import("./process/run.ts")).runApiServer(service),
});
