import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { SluiceClient } from "@sluice/client";
import { functionZip } from "../../test/integration/function-zip.ts";
import { functions } from "./plan.ts";

const code = readFileSync(join(import.meta.dirname, "handler/index.cjs"), "utf8");

/** Retries of a function after failures of its handler. */
export const retriesMax = 3;

/** Deploys the functions of the workload, whose handlers write to the ledger at this path. */
export async function deployFunctions(client: SluiceClient, ledgerPath: string): Promise<void> {
  const codeZip = await functionZip({ "index.js": code });
  const settings = {
    runtime: "nodejs20",
    handler: "index.handler",
    timeoutMs: 600_000,
    maxAsyncRetryAttempts: retriesMax,
    environment: { LEDGER: ledgerPath },
  };
  await client.functions.deploy({ name: functions.work, settings: { ...settings, instanceConcurrency: 100 }, codeZip });
  await client.functions.deploy({ name: functions.crash, settings: { ...settings, instanceConcurrency: 1 }, codeZip });
}
