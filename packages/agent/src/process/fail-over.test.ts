import { AppError } from "@sluice/core";
import { FakeClock, seededRandom } from "@sluice/core/testing";
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
  const clock = new FakeClock();
  const gateway = (seed = 1) => failOver(gateways, { clock, random: seededRandom(seed) });
  return { clock, gateway, behaviour, asked };
}

test("it stays with the one that answers", async () => {
  const { gateway: open, asked } = servers(3);
  const gateway = open();
  for (let n = 0; n < 5; n++) await gateway.heartbeat(beat, context());
  expect(new Set(asked).size).toBe(1);
});

test("agents spread over the api-servers, also those of one that has gone", async () => {
  const { gateway: open, behaviour, asked } = servers(3);
  const agents = Array.from({ length: 60 }, (_, seed) => open(seed));
  behaviour[0] = async () => {
    throw down();
  };
  for (const agent of agents) await agent.heartbeat(beat, context());
  const moved = asked.flatMap((index, at) => (index === 0 ? [asked[at + 1]] : []));
  expect(moved.length).toBeGreaterThan(10);
  expect(new Set(moved)).toEqual(new Set([1, 2]));
});

test("a call that finds its api-server away is answered by the next one, which is used from then on", async () => {
  const { gateway: open, behaviour, asked } = servers(2);
  const gateway = open();
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
  const { gateway: open, behaviour, asked } = servers(3);
  behaviour.fill(async () => {
    throw down();
  });
  await expect(open().heartbeat(beat, context())).rejects.toThrow("connection refused");
  expect(asked.toSorted()).toEqual([0, 1, 2]);
});

test("an api-server that does not answer is left after four seconds, and its late answer still counts", async () => {
  const { clock, gateway: open, behaviour, asked } = servers(2);
  const gateway = open();
  await gateway.heartbeat(beat, context());
  const first = asked[0] ?? 0;
  let answer: (valid: boolean) => void = () => undefined;
  behaviour[first] = () =>
    new Promise((resolve) => {
      answer = resolve;
    });
  const hanging = gateway.heartbeat(beat, context());
  await clock.advance(4_000);
  await gateway.heartbeat(beat, context());
  expect(asked).toEqual([first, first, 1 - first]);
  answer(true);
  expect(await hanging).toMatchObject({ valid: true });
});

test("a refusal is an answer", async () => {
  const { gateway: open, behaviour, asked } = servers(2);
  behaviour.fill(async () => {
    throw new AppError("unauthenticated", "INVALID_JOIN_TOKEN", "another token");
  });
  const gateway = open();
  await expect(gateway.heartbeat(beat, context())).rejects.toThrow("another token");
  expect(asked).toHaveLength(1);
});

test("code comes from the next one when the first is away, whole", async () => {
  const { gateway: open, behaviour } = servers(2);
  behaviour[0] = async () => {
    throw down();
  };
  for (const seed of [1, 2, 3, 4]) {
    const chunks: string[] = [];
    const code = open(seed).getCode({ sha256: "", joinToken: "t" }, context());
    for await (const { data } of code) chunks.push(String(data));
    expect(chunks).toEqual(["1-1", "1-2"]);
  }
});
