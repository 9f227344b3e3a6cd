import { AgentGatewayServiceService, type Api, type Identity } from "@sluice/protocol";
import { expect, test } from "vitest";
import { all } from "../testing/test-api.ts";
import { guardGateway } from "./guard-gateway.ts";

const agent = { agentId: "a1", address: "h:1", slots: 1, version: "1", registrationId: "r", joinToken: "t" };

function aGateway() {
  const calls: string[] = [];
  const note = <T>(name: string, answer: T) => {
    calls.push(name);
    return Promise.resolve(answer);
  };
  const api: Api<typeof AgentGatewayServiceService> = {
    register: () => note("register", { incarnation: 1, floors: [] }),
    heartbeat: () => note("heartbeat", { valid: true, dead: false }),
    deregister: () => note("deregister", {}),
    async *getCode() {
      yield await note("getCode", { data: Buffer.from("zip") });
    },
    putLogs: () => note("putLogs", {}),
    findSettled: () => note("findSettled", { settled: [] }),
  };
  return { calls, guarded: guardGateway(api) };
}

/** Calls every method with such a certificate; returns the methods that answered. */
async function callAll(identities: readonly Identity[] | undefined): Promise<readonly string[]> {
  const { calls, guarded } = aGateway();
  const context = { signal: new AbortController().signal, ...(identities && { identities: () => identities }) };
  const methods: Record<keyof typeof AgentGatewayServiceService, () => Promise<unknown>> = {
    register: () => guarded.register(agent, context),
    heartbeat: () => guarded.heartbeat({ ...agent, incarnation: 1 }, context),
    deregister: () => guarded.deregister({ ...agent, incarnation: 1 }, context),
    getCode: () => all(guarded.getCode({ ...agent, sha256: "" }, context)),
    putLogs: () => guarded.putLogs({ ...agent, pieces: [] }, context),
    findSettled: () => guarded.findSettled({ ...agent, attempts: [] }, context),
  };
  expect(Object.keys(methods).sort()).toEqual(Object.keys(AgentGatewayServiceService).sort());
  const refused = expect.objectContaining({ code: "forbidden", reason: "WRONG_ROLE" });
  for (const call of Object.values(methods)) await call().catch((cause: unknown) => expect(cause).toEqual(refused));
  return calls;
}

const everything = ["register", "heartbeat", "deregister", "getCode", "putLogs", "findSettled"];

test("an agent's certificate opens every method, whether it names the agent or any", async () => {
  expect(await callAll([{ role: "agent", id: "a1" }])).toEqual(everything);
  expect(await callAll([{ role: "agent", id: undefined }])).toEqual(everything);
  expect(
    await callAll([
      { role: "scheduler", id: undefined },
      { role: "agent", id: "a1" },
    ]),
  ).toEqual(everything);
});

test("an agent cannot act as another one", async () => {
  expect(await callAll([{ role: "agent", id: "a2" }])).toEqual(["getCode", "putLogs", "findSettled"]);
});

test("nobody else gets in", async () => {
  expect(await callAll([{ role: "scheduler", id: undefined }])).toEqual([]);
  expect(await callAll([])).toEqual([]);
  expect(await callAll(undefined)).toEqual([]);
});
