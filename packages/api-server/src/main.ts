import { runService } from "@sluice/runtime";
import { apiServerSpec } from "./process/settings.ts";

await runService(apiServerSpec, {
  // Inserts that are under way, announcements, calls, connections.
  stopWithinMs: () => 30_000,
  // Loaded after the settings were found good: help and complaints come at once.
  run: async (service) => (await import("./process/run.ts")).runApiServer(service),
});
