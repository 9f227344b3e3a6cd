import { AccountId, FunctionName, flowKey } from "@sluice/core";
import { aFlow, seededRandom } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { allGates, type GatedFlow } from "../gates.ts";
import type { FlowLimits, Limit } from "../limits.ts";
import type { ActiveTask } from "../memory.ts";
import { startDispatching, unrouted } from "../testing.ts";
import { limitsGate } from "./limits.ts";

const home = { queue: "q0", lane: 3 };
const origin = {
  accountId: AccountId("main"),
  functionName: FunctionName("echo"),
  lane: 3,
  priority: 2 as const,
  enqueuedAt: 0,
};
const flow = (active = 0, lane = 3): GatedFlow => ({
  origin: { ...origin, lane },
  flowKey: flowKey(origin),
  function: undefined,
  active,
});
const limit = (changes: Partial<Limit> = {}): Limit => ({
  scope: "flow",
  key: flowKey(origin),
  concurrencyMax: 0,
  rateMax: 0,
  rateBurst: 0,
  ...changes,
});
const aTask = (state: ActiveTask["state"] = "reading") => ({ state }) as ActiveTask;

function start(limits: readonly Limit[], facts: { prefix?: string } = {}) {
  const world = {
    ...{ now: 0, allAnswered: true, elsewhere: 0, ofAccount: 0, limits, isLimited: true, reservedAgeMs: 0 },
    reserved: new Map<string, number>(),
    activeOf: new Map<string, number>(),
  };
  const activeOf = (key: string) => world.activeOf.get(key) ?? 0;
  const known = (): FlowLimits => ({
    home: world.isLimited ? home : undefined,
    limits: world.limits,
    version: [],
    route: unrouted,
  });
  const gate = limitsGate({
    now: () => world.now,
    queue: "q0",
    prefix: facts.prefix ?? "",
    limitsOf: known,
    activeOf,
    activeOfAccount: () => world.ofAccount,
    reservedOf: (_, youngerThanMs) => (world.reservedAgeMs < youngerThanMs ? world.reserved : undefined),
    runningElsewhere: () => world.elsewhere,
    allAnswered: () => world.allAnswered,
  });
  const admits = (ofFlow: number, ofAccount = ofFlow, task = aTask()) =>
    gate.admits?.(flow(ofFlow), task, { ofFlow, ofAccount, activeOf });
  return { world, gate, admits };
}

test("as many run as may, those elsewhere included", () => {
  const { world, gate, admits } = start([limit({ concurrencyMax: 3 })]);
  expect(gate.room(flow(1))).toBe(2);
  expect([admits(2), admits(3)]).toEqual([true, false]);
  world.elsewhere = 2;
  expect(gate.room(flow(0))).toBe(1);
  expect(gate.room(flow(1))).toBeLessThanOrEqual(0);
  world.elsewhere = Number.POSITIVE_INFINITY;
  expect([gate.room(flow(0)), admits(0)]).toEqual([0, false]);
});

test("a limit that is lowered lets nothing start until fewer run; one that is raised counts at once", () => {
  const { world, admits } = start([limit({ concurrencyMax: 3 })]);
  world.limits = [limit({ concurrencyMax: 1 })];
  expect([admits(3), admits(1), admits(0)]).toEqual([false, false, true]);
  world.limits = [limit({ concurrencyMax: 4 })];
  expect(admits(3)).toBe(true);
});

test("an account counts all of its flows", () => {
  const { world, gate, admits } = start([limit({ scope: "account", key: "main", concurrencyMax: 2 })]);
  world.ofAccount = 1;
  expect(gate.room(flow(0))).toBe(1);
  expect([admits(0, 1), admits(0, 2)]).toEqual([true, false]);
});

const accountOf = (concurrencyMax: number) => limit({ scope: "account", key: "main", concurrencyMax });

test("what is kept for the others of its account is no room for a flow, and what they use of it is not kept twice", () => {
  const { world, gate, admits } = start([accountOf(4)]);
  world.reserved = new Map([["main/kept", 2]]);
  expect([gate.room(flow(0)), admits(1, 1), admits(2, 2)]).toEqual([2, true, false]);
  world.activeOf.set("main/kept", 1);
  world.ofAccount = 1;
  expect([gate.room(flow(0)), admits(1, 2), admits(2, 3)]).toEqual([2, true, false]);
  world.activeOf.set("main/kept", 3);
  world.ofAccount = 3;
  expect(gate.room(flow(0))).toBe(1);
  world.elsewhere = 1;
  expect([gate.room(flow(0)), admits(0, 3)]).toEqual([0, false]);
});

test("a flow may use what is kept for it, and everything that is kept for nobody", () => {
  const { world, gate } = start([accountOf(4)]);
  world.reserved = new Map([
    [flowKey(origin), 1],
    ["main/other", 1],
  ]);
  expect(gate.room(flow(0))).toBe(3);
});

test("nothing of a limited account starts while it is not known what is kept; without a limit of the account nothing is", () => {
  const { world, gate, admits } = start([accountOf(4)]);
  world.reserved = new Map([["main/kept", 4]]);
  expect([gate.room(flow(0)), admits(0)]).toEqual([0, false]);
  // Its rows are read, so that what is kept is read as well: nothing else may ever happen in the account.
  world.reservedAgeMs = 10_000;
  expect([gate.room(flow(0)), admits(0)]).toEqual([4, false]);
  world.reserved = new Map();
  expect(admits(0)).toBe(true);
  world.reservedAgeMs = 12_000;
  expect(admits(0)).toBe(false);
  for (const others of [[limit({ concurrencyMax: 4 })], [limit({ scope: "account", key: "main", rateMax: 0 })]]) {
    world.limits = others;
    expect(admits(0)).toBe(true);
  }
});

test("nothing of a limited flow starts while an agent has not answered; others do not care", () => {
  const { world, gate, admits } = start([limit({ concurrencyMax: 3 })]);
  world.allAnswered = false;
  expect([gate.room(flow()), admits(0)]).toEqual([0, false]);
  world.isLimited = false;
  expect([gate.room(flow()), admits(0)]).toEqual([Number.POSITIVE_INFINITY, true]);
});

test("what lies outside its home is read, so that it can be moved, and never sent", () => {
  const { gate } = start([limit({ concurrencyMax: 1 })]);
  expect(gate.room(flow(5, 4))).toBe(Number.POSITIVE_INFINITY);
  const other = start([limit({ concurrencyMax: 1 })], { prefix: "1" });
  expect(other.gate.room(flow(5))).toBe(Number.POSITIVE_INFINITY);
  expect(other.admits(0)).toBe(false);
});

test("a rate begins with nothing, and says when the next token comes", () => {
  const { world, gate, admits } = start([limit({ rateMax: 4, rateBurst: 2 })]);
  expect([gate.room(flow()), admits(0)]).toEqual([0, false]);
  expect(gate.dueAt?.()).toBe(250);
  expect(gate.due?.()).toEqual([]);
  world.now = 250;
  expect(gate.due?.()).toEqual([{ accountId: "main", functionName: "echo" }]);
  expect(gate.due?.()).toEqual([]);
  expect(gate.dueAt?.()).toBe(Number.POSITIVE_INFINITY);
  expect([gate.room(flow()), admits(0), admits(0)]).toEqual([1, true, false]);
  world.now = 60_000;
  expect(gate.room(flow())).toBe(2);
});

test("a token of an attempt that found no agent comes back; one of an attempt that was sent does not", () => {
  const { world, gate, admits } = start([limit({ rateMax: 1, rateBurst: 1 })]);
  gate.room(flow());
  world.now = 1_000;
  const unsent = aTask();
  expect(admits(0, 0, unsent)).toBe(true);
  gate.onReleased?.(unsent);
  expect(gate.room(flow())).toBe(1);
  const sent = aTask();
  expect(admits(0, 0, sent)).toBe(true);
  sent.state = "dispatched";
  gate.onReleased?.(sent);
  expect(gate.room(flow())).toBe(0);
});

interface Pace {
  readonly rateMax: number;
  readonly rateBurst: number;
  /** How long a read of rows takes. */
  readonly readMs: () => number;
  /** By how much a timer is late. */
  readonly lateMs: () => number;
  readonly forMs?: number;
}

/** When attempts of a flow that always has something waiting are sent, by a loop such as that of `dispatch.ts`. */
function sendsOf({ rateMax, rateBurst, readMs, lateMs, forMs = 60_000 }: Pace) {
  const { world, gate, admits } = start([limit({ rateMax, rateBurst })]);
  const sends: number[] = [];
  let reads = 0;
  while (world.now < forMs) {
    gate.due?.();
    const picked = Array.from({ length: Math.min(100, gate.room(flow())) }, () => aTask());
    if (picked.length === 0) {
      world.now += Math.max(1, (gate.dueAt?.() ?? 0) - world.now) + lateMs();
      continue;
    }
    for (const task of picked) gate.onPicked?.(flow(), task);
    world.now += readMs();
    reads += picked.length;
    for (const task of picked) if (admits(0, 0, task)) sends.push(world.now);
  }
  return { sends, perSecond: (sends.length * 1_000) / forMs, readsPerSend: reads / sends.length };
}

/** By how many attempts the worst of all windows has more than the burst and what the rate gives. */
function excessOf(sends: readonly number[], { rateMax, rateBurst }: Pick<Pace, "rateMax" | "rateBurst">): number {
  let worst = Number.NEGATIVE_INFINITY;
  // The most that a window that ends here has: that of the one that ends before, or one that begins here.
  let most = Number.NEGATIVE_INFINITY;
  sends.forEach((at, index) => {
    const before = index === 0 ? 0 : ((at - (sends[index - 1] as number)) * rateMax) / 1_000;
    most = Math.max(1, most + 1 - before);
    worst = Math.max(worst, most);
  });
  return worst - rateBurst;
}

const random = seededRandom(1);
const upTo = (ms: number) => () => random.next() * ms;
const always = (ms: number) => () => ms;

test("a rate without burst is used up although rows take time to be read, and no window has more of it than it may", () => {
  for (const [rateMax, lateMs, share] of [
    [50, always(0), 0.999],
    [200, always(0), 0.999],
    [50, upTo(1), 0.97],
    // Two that are closer than the rate allows would be too many, so what a timer is late is lost: here 0.5 of 5.5 ms.
    [200, upTo(1), 0.9],
  ] as const) {
    const { sends, perSecond, readsPerSend } = sendsOf({ rateMax, rateBurst: 1, readMs: always(3), lateMs });
    expect(perSecond / rateMax).toBeGreaterThanOrEqual(share);
    expect(excessOf(sends, { rateMax, rateBurst: 1 })).toBeLessThan(1e-6);
    expect(readsPerSend).toBeLessThan(1.01);
  }
});

test("what a burst of two saves up makes good for late timers and reads", () => {
  for (const rateMax of [50, 200, 500]) {
    const { sends, perSecond } = sendsOf({ rateMax, rateBurst: 2, readMs: always(3), lateMs: upTo(1) });
    expect(perSecond / rateMax).toBeGreaterThan(0.99);
    expect(excessOf(sends, { rateMax, rateBurst: 2 })).toBeLessThan(1e-6);
  }
});

test("a row that was read too early waits for its token: few are, however long reads take", () => {
  const readMs = () => 2 + random.next() * 4;
  for (const rateBurst of [1, 2]) {
    const { sends, perSecond, readsPerSend } = sendsOf({ rateMax: 50, rateBurst, readMs, lateMs: upTo(1) });
    expect(perSecond).toBeGreaterThan(44);
    expect(excessOf(sends, { rateMax: 50, rateBurst })).toBeLessThan(1e-6);
    expect(readsPerSend).toBeLessThan(1.15);
  }
});

test("a read that took long once does not have rows read in vain for long", () => {
  let reads = 0;
  const readMs = () => (reads++ % 100 === 50 ? 300 : 3);
  const { sends, readsPerSend } = sendsOf({ rateMax: 50, rateBurst: 1, readMs, lateMs: always(0) });
  expect(excessOf(sends, { rateMax: 50, rateBurst: 1 })).toBeLessThan(1e-6);
  expect(readsPerSend).toBeLessThan(1.1);
});

/** A loop that dispatches what it is delivered under these limits, of the flow or of its account. */
function dispatchUnder(limits: readonly Limit[]) {
  const started = startDispatching({ readMs: 3, slots: 10_000 });
  const { clock, context } = started;
  const { memory } = context;
  const gate = limitsGate({
    ...{ now: () => clock.monotonic(), queue: "q0", prefix: "", allAnswered: () => true },
    ...{ reservedOf: () => new Map(), runningElsewhere: () => 0 },
    activeOf: (key) => memory.activeOf(key),
    activeOfAccount: (accountId) => memory.activeOfAccount(accountId),
    limitsOf: () => ({ home: { queue: "q0", lane: 0 }, limits, version: [], route: unrouted }),
  });
  Object.assign(context, { gates: allGates([gate]) });
  return {
    ...started,
    deliverToEach(functions: number, count: number) {
      for (let index = 0; index < functions; index++)
        started.deliver(count, { flow: aFlow({ function: `f${index}` }) });
    },
    reads: () => started.reads.flat().length,
    sends: () => started.frames.flat().length,
  };
}

test.each([1, 2, 50])(
  "of an account with a rate and a burst of %i no row is read for a token of another flow",
  async (rateBurst) => {
    for (const functions of [1, 2, 100]) {
      const account = limit({ scope: "account", key: "main", rateMax: 50, rateBurst });
      const { clock, deliverToEach, reads, sends } = dispatchUnder([account]);
      deliverToEach(functions, Math.ceil(200 / functions));
      await clock.advance(1_900);
      expect(sends()).toBeGreaterThanOrEqual(0.97 * 1.9 * 50);
      expect(sends()).toBeLessThanOrEqual(1.9 * 50 + rateBurst);
      expect(reads()).toBeLessThanOrEqual(1.02 * sends() + 1);
    }
  },
);

test.each([{ rateMax: 50, rateBurst: 50 }, { concurrencyMax: 50 }])(
  "what an account has saved up, or may have running, is read once for all of its flows: %o",
  async (settings) => {
    const { clock, deliver, deliverToEach, reads, sends } = dispatchUnder([
      limit({ scope: "account", key: "main", ...settings }),
    ]);
    deliver(1);
    await clock.advance(2_000);
    deliverToEach(20, 100);
    await clock.advance(10);
    expect(sends()).toBeGreaterThanOrEqual(50);
    expect(reads()).toBe(sends());
  },
);

test("a flow whose picks come to nothing leaves its token to the next one at once", () => {
  const { world, gate } = start([limit({ scope: "account", key: "main", rateMax: 10, rateBurst: 1 })]);
  const other = { ...flow(), flowKey: "main/other" };
  gate.room(flow());
  world.now = 100;
  gate.due?.();
  const task = aTask();
  expect(gate.room(flow())).toBe(1);
  gate.onPicked?.(flow(), task);
  expect(gate.room(other)).toBe(0);
  expect(gate.dueAt?.()).toBe(200);
  gate.onReleased?.(task);
  expect(gate.room(other)).toBe(1);
  const adopted = aTask();
  gate.onPicked?.(flow(), adopted);
  expect(gate.room(other)).toBe(0);
  adopted.state = "dispatched";
  expect(gate.room(other)).toBe(1);
});

test("the dispatch loop sends at the rate, one by one, while a read takes 3 ms", async () => {
  for (const rateMax of [50, 200]) {
    const { clock, context, frames, deliver } = startDispatching({ readMs: 3, slots: 10_000 });
    const gate = limitsGate({
      ...{ now: () => clock.monotonic(), queue: "q0", prefix: "", activeOf: () => 0, activeOfAccount: () => 0 },
      limitsOf: () => ({
        home: { queue: "q0", lane: 0 },
        limits: [limit({ rateMax, rateBurst: 1 })],
        version: [],
        route: unrouted,
      }),
      reservedOf: () => new Map(),
      runningElsewhere: () => 0,
      allAnswered: () => true,
    });
    Object.assign(context, { gates: allGates([gate]) });
    deliver(10 * rateMax);
    await clock.advance(9_900);
    expect(frames.flat().length).toBeGreaterThanOrEqual(0.97 * 9.9 * rateMax);
    expect(frames.flat().length).toBeLessThanOrEqual(9.9 * rateMax);
    await clock.advance(1_000);
    expect(frames.flat().length).toBe(10 * rateMax);
    expect(Math.max(...frames.map(({ length }) => length))).toBe(1);
  }
});
