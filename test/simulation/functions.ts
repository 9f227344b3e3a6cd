import { AccountId, FunctionName } from "@sluice/core";
import { defaultFlowSettings, type FunctionSettings } from "@sluice/store";
import type { World } from "./world.ts";

export interface NewFunction {
  readonly account: string;
  /** Default: `f0`. */
  readonly name?: string;
  readonly settings?: Partial<FunctionSettings>;
}

/** Returns its name. */
export async function createFunction(world: World, { account, name, settings }: NewFunction): Promise<string> {
  const accountId = AccountId(account);
  const functionName = FunctionName(name ?? "f0");
  const code = { sha256: "0".repeat(64), zip: Buffer.from("zip") };
  await world.server.store.functions.create({ accountId, functionName }, { ...defaults, ...settings }, code);
  return functionName;
}

const defaults: FunctionSettings = {
  runtime: "nodejs20",
  handler: "index.handler",
  description: "",
  timeoutMs: 60_000,
  memoryMb: 128,
  instanceConcurrency: 1,
  instancesMax: 8,
  environment: {},
  initializer: undefined,
  preStop: undefined,
  idleTimeoutMs: 60_000,
  maxAsyncRetryAttempts: 3,
  maxAsyncEventAgeInSeconds: 86_400,
  ...defaultFlowSettings,
};
