// A service that behaves as it is told.
import { AppError } from "@sluice/core";
import { choice } from "./config/setting.ts";
import { runService } from "./service.ts";

const behaviour = choice({ default: "serve", of: ["serve", "fail", "reject", "hang", "warn"], why: "What it does." });

await runService(
  { service: "example", summary: "An example.", settings: { behaviour } },
  {
    stopWithinMs: () => 200,
    async run({ config, signal, announce, clock }) {
      announce("example is on nowhere");
      if (config.behaviour === "fail")
        throw new AppError("unavailable", "ADDRESS_UNAVAILABLE", "somebody else listens there");
      if (config.behaviour === "reject") void Promise.reject(new Error("nobody caught me"));
      if (config.behaviour === "warn") process.emitWarning("something is old");
      while (!signal.aborted || config.behaviour === "hang")
        await clock.sleep(100_000, signal.aborted ? undefined : signal);
    },
  },
);
