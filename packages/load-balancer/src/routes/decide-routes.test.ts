import { type FlowLoad, type FlowRoute, type LoadReport, newRoute } from "@sluice/coordination";
import { AccountId, dedicatedQueueOf, FunctionName, flowKey } from "@sluice/core";
import { expect, test } from "vitest";
import { decideRoutes, defaultRoutesConfig, noRouteMemory, type RoutesConfig } from "./decide-routes.ts";

const flow = (functionName: string) => ({
  accountId: AccountId("acme"),
  functionName: FunctionName(functionName),
});
const load = (name: string, more: Partial<FlowLoad> = {}): FlowLoad => ({
  ...flow(name),
  waiting: 1,
  dispatchedPerSecond: 1,
  asksFor: "nothing",
  ...more,
});
const queueOf = (name: string) => dedicatedQueueOf(flow(name));

test("a flow that asks gets a queue, which is used once it is owned", () => {
  const world = startWorld();
  world.reports(load("train", { asksFor: "dedicated" }), load("chat", { asksFor: "latency" }), load("other"));
  world.round();
  expect(world.states()).toEqual({ train: "opening asked", chat: "opening latency" });
  world.round();
  expect(world.states()).toEqual({ train: "opening asked", chat: "opening latency" });
  world.claimed.add(queueOf("train"));
  world.round();
  expect(world.states()).toEqual({ train: "open asked", chat: "opening latency" });
});

test("a flow that is hot gets one when it stays so; a burst does not", () => {
  const world = startWorld({ hotRouteForMs: 15_000 });
  const hot = load("train", { waiting: 15_000 });
  world.reports(hot, hot);
  world.round(10_000);
  world.reports(load("train"));
  world.round(10_000);
  world.reports(hot, hot);
  world.round(10_000);
  world.round(10_000);
  expect(world.states()).toEqual({});
  world.round();
  expect(world.states()).toEqual({ train: "opening hot" });
});

test("there are at most so many; those that ask come before those that are hot", () => {
  const world = startWorld({ routesMax: 2, hotRouteForMs: 0 });
  const hottest = load("hottest", { waiting: 1_000_000 });
  world.reports(hottest, load("a", { asksFor: "dedicated" }), load("hot", { dispatchedPerSecond: 9_000 }));
  world.round();
  expect(world.states()).toEqual({ a: "opening asked", hottest: "opening hot" });
  expect(world.refused).toBe(1);
  world.round();
  expect(Object.keys(world.states())).toHaveLength(2);
});

/** So many functions of an account, all of which ask and have one task. */
const asking = (accountId: string, count: number) =>
  Array.from({ length: count }, (_, index) =>
    load(`${accountId}-${index}`, { accountId: AccountId(accountId), asksFor: "dedicated" }),
  );

test("an account that asks for all queues gets few, and leaves room for those of others that are hot or ask", () => {
  const world = startWorld({ hotRouteForMs: 0 });
  const hot = load("hot", { accountId: AccountId("b"), waiting: 500_000 });
  const fast = load("fast", { accountId: AccountId("c"), asksFor: "latency" });
  world.reports(...asking("greedy", 64));
  world.round();
  world.reports(...asking("greedy", 64), hot, fast);
  world.round();
  world.round();
  const states = world.states();
  expect(states).toMatchObject({ hot: "opening hot", fast: "opening latency" });
  expect(Object.keys(states).filter((name) => name.startsWith("greedy"))).toHaveLength(8);
  expect(world.refused).toBe(56);
});

test("an account does not get more by being hot, and gets another one when one has ended; what is commanded does not count", () => {
  const world = startWorld({ hotRouteForMs: 0, routesPerAccountMax: 2, foldMs: 1_000 });
  world.open("given", "command");
  world.open("first", "hot");
  world.reports(load("a", { asksFor: "dedicated" }), load("b", { waiting: 100_000 }), load("first"));
  world.round();
  expect(world.states()).toEqual({ given: "open command", first: "open hot", a: "opening asked" });
  world.end("first");
  world.round();
  expect(world.states()).toEqual({ given: "open command", a: "opening asked", b: "opening hot" });
});

test("a quarter of all queues is for flows that are hot, however many accounts ask", () => {
  const world = startWorld({ hotRouteForMs: 0 });
  const askers = Array.from({ length: 20 }, (_, index) => asking(`t${index}`, 8)).flat();
  const hot = Array.from({ length: 20 }, (_, index) =>
    load(`hot${index}`, { accountId: AccountId(`h${index}`), waiting: 100_000 }),
  );
  world.reports(...askers);
  world.round();
  expect(Object.keys(world.states())).toHaveLength(48);
  world.reports(...askers, ...hot);
  world.round();
  expect(Object.keys(world.states()).filter((name) => name.startsWith("hot"))).toHaveLength(16);
  expect(Object.keys(world.states())).toHaveLength(64);
});

test("hot flows may have all queues while nobody asks", () => {
  const world = startWorld({ hotRouteForMs: 0, routesMax: 4 });
  world.reports(...["a", "b", "c", "d", "e"].map((name) => load(name, { waiting: 100_000 })));
  world.round();
  expect(Object.keys(world.states())).toHaveLength(4);
});

test("a function that asks no more loses its queue, when nothing is left in it", () => {
  const world = startWorld({ foldMs: 60_000 });
  world.open("train", "asked");
  world.used.add(queueOf("train"));
  world.reports(load("train", { asksFor: "dedicated" }));
  world.round();
  expect(world.states()).toEqual({ train: "open asked" });
  world.reports(load("train"));
  world.round();
  world.round(120_000);
  expect(world.states()).toEqual({ train: "folding asked" });
  world.used.clear();
  world.round(59_000);
  world.round(2_000);
  expect(world.states()).toEqual({ train: "folding asked" });
  world.round();
  expect(world.states()).toEqual({});
  expect(world.wished).toEqual([queueOf("train")]);
  world.round();
  expect(world.wished).toEqual([]);
});

test("an idle queue is folded, also by a leader who was not there when it became idle; not a commanded one", () => {
  const world = startWorld({ idleMs: 600_000, foldMs: 60_000 });
  world.open("train", "asked");
  world.open("chat", "command");
  for (let minute = 0; minute < 5; minute++) world.round(60_000);
  world.changeLeader();
  for (let minute = 0; minute < 6; minute++) world.round(60_000);
  expect(world.states()).toEqual({ train: "open asked", chat: "open command" });
  world.round(60_000);
  expect(world.states()).toEqual({ train: "folding asked", chat: "open command" });
});

test("while nobody can tell what is in the queues none is given up", () => {
  const world = startWorld({ foldMs: 1_000, idleMs: 1_000 });
  world.open("train", "asked");
  world.wished.push(queueOf("gone"));
  world.knowsUsed = false;
  for (let round = 0; round < 10; round++) world.round(60_000);
  expect(world.states()).toEqual({ train: "open asked" });
  expect(world.wished).toHaveLength(2);
});

test("a queue that has rows again is kept", () => {
  const world = startWorld({ foldMs: 60_000 });
  world.wished.push(queueOf("late"));
  world.round(50_000);
  world.used.add(queueOf("late"));
  world.round(50_000);
  world.used.clear();
  world.round(50_000);
  world.round(5_000);
  expect(world.wished).toEqual([queueOf("late")]);
  world.round(60_000);
  world.round();
  expect(world.wished).toEqual([]);
});

function startWorld(config: Partial<RoutesConfig> = {}) {
  let now = 1_000_000;
  let routes: FlowRoute[] = [];
  let reports: readonly LoadReport[] = [];
  let memory = noRouteMemory;
  let revision = 1;
  const world = {
    claimed: new Set<string>(),
    used: new Set<string>(),
    knowsUsed: true,
    wished: [] as string[],
    refused: 0,
    reports(...flows: FlowLoad[]) {
      reports = flows.map((one, index) => ({ memberId: `s${index}`, partitions: [], isCut: false, flows: [one] }));
    },
    open(name: string, reason: FlowRoute["reason"]) {
      routes.push({ ...newRoute(flow(name), reason, now), state: "open", modRevision: ++revision });
    },
    end(name: string) {
      routes = routes.filter(({ functionName }) => functionName !== name);
    },
    changeLeader() {
      memory = noRouteMemory;
    },
    states: () =>
      Object.fromEntries(routes.map(({ functionName, state, reason }) => [functionName, `${state} ${reason}`])),
    /** One round, then so much time passes. */
    round(ms = 1_000) {
      const { claimed, knowsUsed } = world;
      const used = knowsUsed ? world.used : undefined;
      world.wished = [...new Set([...world.wished, ...routes.map(({ queue }) => queue)])];
      const decision = decideRoutes(
        { routes, reports, wished: world.wished, claimed, used, before: memory, now: { wall: now, monotonic: now } },
        { ...defaultRoutesConfig, ...config },
      );
      memory = decision.memory;
      world.refused = decision.refused;
      const changed = new Map(decision.changed.map((route) => [flowKey(route), { ...route, modRevision: ++revision }]));
      const ended = new Set(decision.ended.map(flowKey));
      routes = routes
        .map((route) => changed.get(flowKey(route)) ?? route)
        .filter((route) => !ended.has(flowKey(route)));
      routes.push(...[...changed.values()].filter((route) => !routes.includes(route)));
      world.wished = world.wished.filter((queue) => !decision.unneeded.includes(queue));
      now += ms;
    },
  };
  return world;
}
