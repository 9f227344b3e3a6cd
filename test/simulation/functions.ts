import { AccountId, FunctionName, flowKey, hash32 } from "@sluice/core";
import type { FunctionSettings } from "@sluice/store";
import { queues, type World } from "./world.ts";

export interface NewFunction {
  readonly account: string;
  /** From 0; another one gets another name. */
  readonly nth: number;
  readonly settings?: Partial<FunctionSettings>;
}

/** How many queues the api-servers spread flows over. */
const queueCount = 8;

/** Creates a function, under a name that lies on one of the queues that the schedulers have. */
export async function createFunction(world: World, { account, nth, settings }: NewFunction): Promise<string> {
  const accountId = AccountId(account);
  const functionName = nameOnOurQueues(accountId, nth);
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
};

function nameOnOurQueues(accountId: AccountId, nth: number): FunctionName {
  let left = nth;
  for (let index = 0; ; index++) {
    const functionName = FunctionName(`f${index}`);
    const queue = `q${hash32(flowKey({ accountId, functionName })) % queueCount}`;
    if ((queues as readonly string[]).includes(queue) && left-- === 0) return functionName;
  }
}
