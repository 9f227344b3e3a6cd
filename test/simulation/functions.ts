import { AccountId, FunctionName, flowKey, hash32 } from "@sluice/core";
import { defaultFlowSettings, type FunctionSettings } from "@sluice/store";
import { queues, type World } from "./world.ts";

export interface NewFunction {
  readonly account: string;
  /** Default: the first one on one of the queues that the schedulers have. */
  readonly name?: string;
  readonly settings?: Partial<FunctionSettings>;
}

/** How many queues the api-servers spread flows over. */
const queueCount = 8;

/** Returns its name. */
export async function createFunction(world: World, { account, name, settings }: NewFunction): Promise<string> {
  const accountId = AccountId(account);
  const functionName = FunctionName(name ?? namesOnOurQueues([account], 1)[0] ?? "");
  const code = { sha256: "0".repeat(64), zip: Buffer.from("zip") };
  await world.server.store.functions.create({ accountId, functionName }, { ...defaults, ...settings }, code);
  return functionName;
}

/** Names of functions that lie, for each of these accounts, on one of the queues that the schedulers have. */
export function namesOnOurQueues(accounts: readonly string[], count: number): readonly string[] {
  const names: string[] = [];
  for (let index = 0; names.length < count; index++) {
    const name = `f${index}`;
    if (accounts.every((account) => isOnOurQueues(AccountId(account), FunctionName(name)))) names.push(name);
  }
  return names;
}

function isOnOurQueues(accountId: AccountId, functionName: FunctionName): boolean {
  const queue = `q${hash32(flowKey({ accountId, functionName })) % queueCount}`;
  return (queues as readonly string[]).includes(queue);
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
