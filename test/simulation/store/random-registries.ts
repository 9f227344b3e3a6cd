// Calls about functions, agents, accounts and their keys.
import { type CodePackage, defaultFlowSettings, type FunctionSettings } from "@sluice/store";
import type { Call } from "./calls.ts";
import { accounts, type Draws, names } from "./random-draws.ts";

const agentIds = ["a1", "a2", "a10"] as const;
const oneDay = 86_400_000;

export function functionCall(draws: Draws): Call {
  const { dice } = draws;
  const flow = { accountId: dice.pick(accounts), functionName: dice.pick(names) };
  const changed = dice.chance(0.5) ? code(draws) : undefined;
  const update = dice.pick([{}, { timeoutMs: dice.between(1, 9) }, { initializer: undefined }, draws.limits()]);
  return dice.pick<() => Call>([
    () => ["functions", "create", flow, settings(draws), code(draws)],
    () => ["functions", "update", flow, update, changed],
    () => ["functions", "read", [flow, { ...flow, functionName: dice.pick(names) }]],
    () => [
      "functions",
      "list",
      flow.accountId,
      { prefix: dice.pick(["", "b", "beta"]), after: dice.pick(["", "alpha"]), limit: 2 },
    ],
    () => ["functions", "delete", flow],
    () => ["functions", "reserved", draws.some(3, () => dice.pick(accounts))],
    () => ["functions", "code", code(draws).sha256],
  ])();
}

export function agentCall(draws: Draws): Call {
  const { dice } = draws;
  const agent = () => {
    const agentId = dice.pick(agentIds);
    const latest = draws.tables.agents.get(agentId)?.at(-1)?.incarnation ?? 1;
    return { agentId, incarnation: Math.max(1, latest - dice.pick([0, 0, 0, 1, 9])) };
  };
  const registration = {
    address: "10.0.0.1:1",
    slots: dice.between(1, 9),
    version: "1",
    registrationId: `r${dice.between(1, 12)}`,
  };
  return dice.pick<() => Call>([
    () => ["agents", "register", { agentId: dice.pick(agentIds), ...registration }],
    () => ["agents", "renew", draws.some(3, agent)],
    () => ["agents", "list"],
    () => ["agents", "fence", agent()],
    () => ["agents", "markDead", agent(), dice.pick([0, 2_000, 1e9])],
    () => ["agents", "deregister", agent()],
  ])();
}

export function accountCall(draws: Draws): Call {
  const { dice } = draws;
  const keyId = `key-${dice.between(1, 5)}`;
  const accountId = dice.pick(accounts);
  return dice.pick<() => Call>([
    () => ["accounts", "createKey", { keyId, accountId, encryptedSecret: draws.bytes(), enabled: dice.chance(0.5) }],
    () => ["accounts", "key", dice.chance(0.1) ? "a\0" : keyId],
    () => ["accounts", "keys", accountId],
    () => ["accounts", "read", [accountId, dice.pick(accounts)]],
    () => ["accounts", "list", { after: dice.pick(["", "green"]), limit: dice.pick([0, 1, 9]) }],
    () => ["accounts", "update", accountId, draws.limits()],
  ])();
}

function settings(draws: Draws): FunctionSettings {
  const { dice } = draws;
  return {
    runtime: "nodejs18",
    handler: "index.handler",
    description: dice.pick(["", "says 😀", "half \ud800", dice.chance(0.1) ? "nul \0" : ""]),
    timeoutMs: dice.between(1, oneDay),
    memoryMb: 128,
    instanceConcurrency: 1,
    instancesMax: 4,
    environment: dice.pick([{}, { B: "2", A: "1" }]),
    initializer: dice.pick([undefined, { handler: "index.initialize", timeoutMs: 1 }]),
    preStop: undefined,
    idleTimeoutMs: 1,
    maxAsyncRetryAttempts: 3,
    maxAsyncEventAgeInSeconds: 9,
    ...defaultFlowSettings,
    concurrencyReserved: dice.pick([0, 0, 2]),
    rateMax: dice.pick([0, 0, 1.5]),
  };
}

function code(draws: Draws): CodePackage {
  const { dice } = draws;
  const zip = new Uint8Array([dice.between(1, 4)]);
  return { sha256: `sha-${zip[0]}`, zip };
}
