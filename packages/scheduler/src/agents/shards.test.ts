import { FakeClock } from "@sluice/core/testing";
import fc from "fast-check";
import { expect, test } from "vitest";
import { createShards, type ShardMember } from "./shards.ts";

interface FakeAgent extends ShardMember {
  free: number;
  used: number;
}

function startShards(count: number) {
  const clock = new FakeClock();
  const every = Array.from({ length: count }, (_, index): FakeAgent => ({ agentId: `a${index}`, free: 10, used: 0 }));
  let present: readonly FakeAgent[] = every;
  const changes: string[] = [];
  const shards = createShards<FakeAgent>({ clock, links: () => present, onChange: (kind) => changes.push(kind) });
  const idsOf = (flow: string) => shards.of(flow).links.map(({ agentId }) => agentId);
  return {
    ...{ clock, every, shards, changes, idsOf },
    grow: (flow: string) => shards.grow(flow, ({ free }) => free > 0),
    ease: (flow: string) => shards.ease(flow, { roomOf: ({ free }) => free, usedOf: ({ used }) => used }),
    /** Only these agents are listed from now on. */
    list(agents: readonly FakeAgent[]): void {
      present = agents;
    },
    /** The agent is dead, and the flow lost an attempt with it. */
    kill(flow: string, agentId: string): void {
      present = present.filter((agent) => agent.agentId !== agentId);
      shards.lost(flow, agentId);
    },
    revive(agentId: string): void {
      present = every.filter((agent) => agent.agentId === agentId || present.includes(agent));
    },
  };
}

test("a few agents are the shard of everybody, many have a small one for each", () => {
  expect(startShards(3).idsOf("f")).toHaveLength(3);
  expect(startShards(12).idsOf("f")).toHaveLength(4);
  expect(startShards(300).idsOf("f")).toHaveLength(18);
});

test("a shard that stays full doubles while others have room, at most every 200 ms", async () => {
  const { clock, shards, grow, idsOf } = startShards(100);
  const start = idsOf("f");
  expect(grow("f")).toBe("later");
  await clock.advance(2_000);
  expect(grow("f")).toBe("later");
  await clock.advance(100);
  expect(grow("f")).toBe("grown");
  expect(grow("f")).toBe("later");
  expect(idsOf("f")).toHaveLength(20);
  await clock.advance(200);
  expect(grow("f")).toBe("grown");
  expect(idsOf("f")).toHaveLength(40);
  expect(idsOf("f").slice(0, start.length)).toEqual(start);
  expect(idsOf("g")).toHaveLength(10);
  expect(shards.of("f").first.map(({ agentId }) => agentId)).toEqual(start);
});

test("a shard grows as far as the nearest agent with room, and not at all if nobody has any", async () => {
  const { clock, every, idsOf, grow } = startShards(100);
  for (const agent of every) agent.free = 0;
  for (const flow of ["f", "g"]) grow(flow);
  await clock.advance(100);
  expect(grow("f")).toBe("no");
  const other = every.find(({ agentId }) => !idsOf("g").includes(agentId)) as FakeAgent;
  other.free = 1;
  expect(grow("g")).toBe("grown");
  expect(idsOf("g")).toContain(other.agentId);
});

test("a shard that needs half of its agents shrinks by half, every 30 s, until it is where it began", async () => {
  const { clock, every, grow, ease, idsOf } = startShards(100);
  const start = idsOf("f");
  for (let step = 0; step < 6; step++) {
    grow("f");
    await clock.advance(200);
  }
  expect(idsOf("f")).toHaveLength(100);
  for (const agent of every) agent.used = 9;
  await clock.advance(30_000);
  ease("f");
  expect(idsOf("f")).toHaveLength(100);
  for (const agent of every) agent.used = 1;
  for (const size of [50, 25, 13, 10]) {
    await clock.advance(29_000);
    ease("f");
    await clock.advance(1_000);
    ease("f");
    expect(idsOf("f")).toHaveLength(size);
  }
  expect(idsOf("f")).toEqual(start);
});

test("a flow that kills every agent that it is given reaches its start shard and nobody else", async () => {
  const { clock, kill, grow, idsOf, changes } = startShards(12);
  const start = idsOf("poison");
  for (const victim of start) {
    kill("poison", victim);
    expect(grow("poison")).not.toBe("grown");
    expect(start).toEqual(expect.arrayContaining(idsOf("poison")));
    await clock.advance(900);
  }
  expect(idsOf("poison")).toEqual([]);
  expect(changes).toContain("withheld");
  // Others are served by whoever is left, also those whose whole shard it was.
  expect(idsOf("innocent").length).toBeGreaterThanOrEqual(4);
});

test("agents that come back take their places again, and after a minute others take those of the dead", async () => {
  const { clock, kill, revive, idsOf } = startShards(12);
  const start = idsOf("f");
  kill("f", start[1] as string);
  expect(idsOf("f")).toEqual(start.filter((_, index) => index !== 1));
  revive(start[1] as string);
  expect(idsOf("f")).toEqual(start);
  kill("f", start[0] as string);
  await clock.advance(59_000);
  expect(idsOf("f")).toHaveLength(3);
  await clock.advance(1_000);
  expect(idsOf("f")).toHaveLength(4);
});

test("a flow that lost all of a few agents goes on with their successors", () => {
  const { list, shards, idsOf, every } = startShards(8);
  list(every.slice(0, 4));
  expect(idsOf("f")).toHaveLength(4);
  list(every.slice(4));
  for (const { agentId } of every.slice(0, 4)) shards.lost("f", agentId);
  expect(idsOf("f")).toHaveLength(4);
});

/** More than are remembered of one kind. */
const flowsMany = 40_000;
const flowNames = (prefix: string) => Array.from({ length: flowsMany }, (_, index) => `${prefix}${index}`);

test("a flow that kills its agents reaches its shard and nobody else, however many other flows there are", async () => {
  const { clock, shards, kill, grow, idsOf } = startShards(40);
  const start = idsOf("poison");
  for (const round of ["one", "another"]) {
    kill("poison", idsOf("poison")[0] as string);
    for (const name of flowNames(round)) shards.of(name);
    await clock.advance(1_000);
    expect(grow("poison")).not.toBe("grown");
    expect(start).toEqual(expect.arrayContaining(idsOf("poison")));
  }
  expect(idsOf("poison")).toHaveLength(start.length - 2);
  await clock.advance(60_000);
  expect(idsOf("poison")).toHaveLength(start.length);
});

test("a shard that has grown is remembered, and so are those in use, however many other flows there are", async () => {
  const { clock, shards, grow, idsOf } = startShards(100);
  const [used, unused] = [shards.of("used"), shards.of("unused")];
  grow("f");
  await clock.advance(100);
  grow("f");
  expect(idsOf("f")).toHaveLength(20);
  for (const name of flowNames("other")) {
    shards.of(name);
    shards.of("used");
  }
  expect(idsOf("f")).toHaveLength(20);
  expect(shards.of("used")).toBe(used);
  expect(shards.of("unused")).not.toBe(unused);
});

test("charges and sizes are forgotten as well, the one that was used longest ago first, but none for one of the other kind", async () => {
  const { clock, every, list, shards, grow, idsOf } = startShards(12);
  const growAll = async (names: readonly string[]) => {
    for (const name of names) grow(name);
    await clock.advance(100);
    for (const name of names) grow(name);
  };
  await growAll(["g"]);
  list(every.slice(1));
  for (const name of flowNames("lost")) shards.lost(name, "a0");
  expect(idsOf("lost0")).toHaveLength(4);
  const last = `lost${flowsMany - 1}`;
  expect(idsOf(last)).toHaveLength(3);
  expect(idsOf("g")).toHaveLength(8);
  const names = flowNames("grown");
  for (let from = 0; from < names.length; from += 10_000) await growAll(names.slice(from, from + 10_000));
  expect(idsOf("g")).toHaveLength(4);
  expect(idsOf(last)).toHaveLength(3);
});

test("in any sequence of deaths and returns within a minute, a flow that never grew has reached no more agents than its shard has", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(11), { maxLength: 40 }), fc.string(), (steps, flow) => {
      const { every, kill, revive, grow, idsOf, shards } = startShards(12);
      const dead = new Set<string>();
      const reached = new Set<string>();
      for (const step of steps) {
        const { agentId } = every[step] as FakeAgent;
        const first = shards.of(flow).links[0];
        if (dead.delete(agentId)) revive(agentId);
        else if (first) {
          reached.add(first.agentId);
          dead.add(first.agentId);
          kill(flow, first.agentId);
        }
        grow(flow);
      }
      return reached.size <= 4 && idsOf(flow).length <= 4;
    }),
  );
});
