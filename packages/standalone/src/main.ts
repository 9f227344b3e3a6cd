import { setMaxListeners } from "node:events";
import { AppError } from "@sluice/core";
import { silenceTransport } from "@sluice/protocol";
import { createLogger, readConfig, untilSignal } from "@sluice/runtime";
import { openFolder } from "./open-folder.ts";
import { standaloneSpec } from "./settings.ts";
import type { Serving } from "./standalone.ts";

// One signal ends every loop of the process; that many listeners are no leak.
setMaxListeners(0);
silenceTransport();
const config = readConfig(standaloneSpec);
const log = createLogger({ level: config.logLevel, service: "standalone", stream: process.stderr });
try {
  await untilSignal(async (signal) => {
    await using opened = openFolder(config.dataDir);
    const { runStandalone } = await import("./standalone.ts");
    await runStandalone({ config, opened, log, environment: process.env }, signal, greet);
  });
} catch (cause) {
  if (!(cause instanceof AppError)) throw cause;
  process.stderr.write(`sluice: ${cause.message}\n`);
  process.exitCode = 1;
}

function greet({ profile, httpUrl, fcUrl, dataDir, key }: Serving): void {
  const lines = [
    "Sluice is ready. Ctrl-C stops it.",
    `  gRPC   ${profile.address}`,
    ...(fcUrl ? [`  HTTP   ${fcUrl}/2023-03-30  (as Function Compute has it: docs/http-api.md)`] : []),
    `  health ${httpUrl}/healthz  /readyz  /metrics`,
    `  data   ${dataDir}`,
  ];
  if (!key) lines.push("  anybody on this machine may call it (--auth none)");
  else if (key.isNew) {
    lines.push("", "A new access key, kept in client.json of the data folder, where the command line finds it:");
    lines.push(`  SLUICE_ACCESS_KEY_ID=${key.accessKeyId}`, `  SLUICE_ACCESS_KEY_SECRET=${key.accessKeySecret}`);
  }
  lines.push("", "Next: npm run sluice -- deploy examples/hello && npm run sluice -- invoke hello -e world", "");
  process.stdout.write(lines.join("\n"));
}
