import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { SluiceClient } from "@sluice/client";
import { functionZip } from "../../test/integration/function-zip.ts";
import { crash, limitedFlows, workFlows } from "./plan.ts";

const code = readFileSync(join(import.meta.dirname, "handler/index.cjs"), "utf8");

/** Retries of a function after failures of its handler. */
export const retriesMax = 3;

/** Processes of an agent: one for each function of the workload, and some more for those that crash. */
export const instancesMax = workFlows.length + limitedFlows.length + 8;

/** Deploys the functions of an account, whose handlers write to the ledger at this path. */
export async function deployFunctions(client: SluiceClient, account: string, ledgerPath: string): Promise<void> {
  const codeZip = await functionZip({ "index.js": code });
  const settings = {
    runtime: "nodejs20",
    handler: "index.handler",
    timeoutMs: 600_000,
    maxAsyncRetryAttempts: retriesMax,
    environment: { LEDGER: ledgerPath },
  };
  const own = workFlows.filter((flow) => flow.account === account);
  for (const { function: name } of own) {
    await client.functions.deploy({ name, settings: { ...settings, instanceConcurrency: 100 }, codeZip });
  }
  for (const { function: name, concurrencyMax } of limitedFlows.filter((flow) => flow.account === account)) {
    await client.functions.deploy({
      name,
      settings: { ...settings, instanceConcurrency: 100, concurrencyMax },
      codeZip,
    });
  }
  await client.functions.deploy({ name: crash, settings: { ...settings, instanceConcurrency: 1 }, codeZip });
}
