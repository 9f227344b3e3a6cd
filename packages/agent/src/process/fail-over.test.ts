import { AppError } from "@sluice/core";
import { seededRandom } from "@sluice/core/testing";
import type { AgentGatewayServiceService, Api } from "@sluice/protocol";
import { expect, test } from "vitest";
import { failOver } from "./fail-over.ts";

type Gateway = Api<typeof AgentGatewayServiceService>;

const beat = { agentId: "a", incarnation: 1, joinToken: "t" };
const down = () => new AppError("unavailable", "UNAVAILABLE", "connection refused");
const context = () => ({ signal: new AbortController().signal });

/** Api-servers that answer heartbeats as `behaviour` says, and who was asked. */
function servers(count: number) {
  const asked: number[] = [];
  const behaviour: (() => Promise<boolean>)[] = Array.from({ length: count }, () => async () => true);
  const gateways = behaviour.map((_, index) => {
    const answer = async () => {
      asked.push(index);
      return { valid: (await behaviour[index]?.()) === true, dead: false };
    };
    async function* chunks() {
      await answer();
      yield { data: Buffer.from(`${index}-1`) };
      yield { data: Buffer.from(`${index}-2`) };
    }
    return { heartbeat: answer, getCode: chunks } as unknown as Gateway;
  });
  return { gateways, behaviour, asked };
}

test("it stays with the one that answers", async () => {
  const { gateways, asked } = servers(3);
  const gateway = failOver(gateways, seededRandom(1));
  for (let n = 0; n < 5; n++) await gateway.heartbeat(beat, context());
  expect(new Set(asked).size).toBe(1);
});

test("agents spread over the api-servers, also those of one that has gone", async () => {
  const { gateways, behaviour, asked } = servers(3);
  const agents = Array.from({ length: 60 }, (_, seed) => failOver(gateways, seededRandom(seed)));
  behaviour[0] = async () => {
    throw down();
  };
  for (const agent of agents) await agent.heartbeat(beat, context());
  const moved = asked.flatMap((index, at) => (index === 0 ? [asked[at + 1]] : []));
  expect(moved.length).toBeGreaterThan(10);
  expect(new Set(moved)).toEqual(new Set([1, 2]));
});

test("a call that finds its api-server away is answered by the next one, which is used from then on", async () => {
  const { gateways, behaviour, asked } = servers(2);
  const gateway = failOver(gateways, seededRandom(1));
  await gateway.heartbeat(beat, context());
  const first = asked[0] ?? 0;
  behaviour[first] = async () => {
    throw down();
  };
  expect(await gateway.heartbeat(beat, context())).toMatchObject({ valid: true });
  await gateway.heartbeat(beat, context());
  expect(asked).toEqual([first, first, 1 - first, 1 - first]);
});

test("when all are away each is asked once, and the call fails", async () => {
  const { gateways, behaviour, asked } = servers(3);
  behaviour.fill(async () => {
    throw down();
  });
  await expect(failOver(gateways, seededRandom(1)).heartbeat(beat, context())).rejects.toThrow("connection refused");
  expect(asked.toSorted()).toEqual([0, 1, 2]);
});

test("an api-server that does not answer is left once its call was given up", async () => {
  const { gateways, behaviour, asked } = servers(2);
  const gateway = failOver(gateways, seededRandom(1));
  await gateway.heartbeat(beat, context());
  const first = asked[0] ?? 0;
  const giveUp = new AbortController();
  behaviour[first] = () =>
    new Promise((_resolve, reject) =>
      giveUp.signal.addEventListener("abort", () => reject(new AppError("cancelled", "CANCELLED", "cancelled"))),
    );
  const hanging = gateway.heartbeat(beat, { signal: giveUp.signal });
  giveUp.abort();
  await expect(hanging).rejects.toThrow("cancelled");
  await gateway.heartbeat(beat, context());
  expect(asked.at(-1)).toBe(1 - first);
});

test("a refusal is an answer", async () => {
  const { gateways, behaviour, asked } = servers(2);
  behaviour.fill(async () => {
    throw new AppError("unauthenticated", "INVALID_JOIN_TOKEN", "another token");
  });
  const gateway = failOver(gateways, seededRandom(1));
  await expect(gateway.heartbeat(beat, context())).rejects.toThrow("another token");
  expect(asked).toHaveLength(1);
});

test("code comes from the next one when the first is away, whole", async () => {
  const { gateways, behaviour } = servers(2);
  behaviour[0] = async () => {
    throw down();
  };
  for (const seed of [1, 2, 3, 4]) {
    const chunks: string[] = [];
    const code = failOver(gateways, seededRandom(seed)).getCode({ sha256: "", joinToken: "t" }, context());
    for await (const { data } of code) chunks.push(String(data));
    expect(chunks).toEqual(["1-1", "1-2"]);
  }
});
