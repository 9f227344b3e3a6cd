import { runService } from "@sluice/runtime";
import { runAgent } from "./process/run.ts";
import { agentSpec } from "./process/settings.ts";

await runService(agentSpec, {
  // After running attempts had their time: killing them, and waiting until what ended is recorded.
  stopWithinMs: ({ drainMs }) => drainMs + 40_000,
  run: (service) => runAgent(service, { environment: process.env }),
});
