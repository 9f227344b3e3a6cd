// An api-server for tests, in process, on the drivers in memory.

import type { Coordinator } from "@sluice/coordination";
import { createMemoryCoordinator } from "@sluice/coordination/memory";
import { AccountId, type Clock } from "@sluice/core";
import { seededRandom } from "@sluice/core/testing";
import { type CallContext, FunctionSettings, TaskSubmission } from "@sluice/protocol";
import type { Signals, TaskQueue } from "@sluice/queue";
import { createMemoryQueue, createMemorySignals } from "@sluice/queue/memory";
import { silentLogger } from "@sluice/runtime";
import type { Store } from "@sluice/store";
import { Registry } from "prom-client";
import { createAccessKey } from "../accounts/access-key.ts";
import { type ApiServer, createApiServer } from "../api-server.ts";
import { type ApiServerConfig, defaultApiServerConfig } from "../config.ts";
import type { InspectZip } from "../functions/code.ts";

export const joinToken = "a join token";
export const masterKey = Buffer.alloc(32, 1);

export interface TestApiOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly config?: Partial<ApiServerConfig>;
  readonly inspectZip?: InspectZip;
  readonly queue?: TaskQueue;
  readonly coordinator?: Coordinator;
}

export interface TestApi extends ApiServer, AsyncDisposable {
  readonly registry: Registry;
  readonly signals: Signals;
  readonly queue: TaskQueue;
  readonly coordinator: Coordinator;
  /** Ends `run` and waits for it. */
  stop(): Promise<void>;
}

/** An api-server that runs until it is disposed of. */
export function startTestApi({ store, clock, config, inspectZip, ...ports }: TestApiOptions): TestApi {
  const registry = new Registry();
  const signals = createMemorySignals();
  const queue = ports.queue ?? createMemoryQueue({ clock });
  const coordinator = ports.coordinator ?? createMemoryCoordinator({ clock });
  const apiServer = createApiServer({
    config: { ...defaultApiServerConfig, joinTokens: [joinToken], ...config },
    clock,
    random: seededRandom(1),
    log: silentLogger,
    registry,
    store,
    queue,
    signals,
    coordinator,
    masterKey,
    inspectZip: inspectZip ?? (async (zip) => ({ files: 1, bytes: zip.length })),
  });
  const ending = new AbortController();
  const running = apiServer.run(ending.signal);
  const stop = async () => {
    ending.abort();
    await running;
  };
  return { ...apiServer, registry, signals, queue, coordinator, stop, [Symbol.asyncDispose]: stop };
}

export interface TestAccount {
  readonly accountId: AccountId;
  readonly authorization: string;
  /** A call with the account's credential. */
  call(signal?: AbortSignal): CallContext & { readonly signal: AbortSignal };
}

let accounts = 0;

/** An account of its own, so that tests can share a store. */
export async function anAccount(store: Store): Promise<TestAccount> {
  accounts += 1;
  const accountId = AccountId(`account-${accounts}`);
  const { keyId, secret } = await createAccessKey(store, masterKey, { accountId });
  const authorization = `Bearer ${keyId}:${secret}`;
  const never = new AbortController().signal;
  return { accountId, authorization, call: (signal = never) => ({ signal, headers: { authorization } }) };
}

/** An account with the function `echo`. */
export async function anAccountWithEcho(api: ApiServer, store: Store): Promise<TestAccount> {
  const account = await anAccount(store);
  await api.functions.createFunction(aFunction("echo"), account.call());
  return account;
}

export function aFunction(name: string, settings: Partial<FunctionSettings> = {}) {
  return {
    name,
    settings: FunctionSettings.fromPartial({ runtime: "nodejs20", handler: "index.handler", ...settings }),
    codeZip: Buffer.from(`the code of ${name}`),
  };
}

/** A submission to `echo`. */
export function aSubmission(overrides: Partial<TaskSubmission> = {}): TaskSubmission {
  return TaskSubmission.fromPartial({ function: "echo", payload: Buffer.from("hello"), ...overrides });
}

/** Everything that an iterable yields. */
export async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const value of values) found.push(value);
  return found;
}
