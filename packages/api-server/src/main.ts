import { runService } from "@sluice/runtime";
import { runApiServer } from "./process/run.ts";
import { apiServerSpec } from "./process/settings.ts";

await runService(apiServerSpec, {
  // Inserts that are under way, announcements, calls, connections.
  stopWithinMs: () => 30_000,
  run: runApiServer,
});
