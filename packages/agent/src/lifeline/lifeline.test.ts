import { FakeClock } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { FakeGateway } from "../fake-gateway.ts";
import { createMemoryJournal } from "../journal.ts";
import { FakePool, Owner, refOf, startWorld, type World } from "../testing.ts";
import { Fenced } from "./fenced.ts";

const fencedBecause = (world: World) => {
  const cause = world.ended()?.cause;
  return cause instanceof Fenced ? cause.fenceReason : undefined;
};

async function withRunningAttempt(world: World): Promise<Owner> {
  const owner = new Owner(world);
  await owner.attach();
  await owner.dispatch({ seq: 1 });
  expect(world.pool.runningCount).toBe(1);
  return owner;
}

test("a registration is tried again under the same id until it is answered", async () => {
  const clock = new FakeClock();
  const gateway = new FakeGateway(clock);
  gateway.registers = "fails";
  await using world = await startWorld({ clock, gateway });
  await clock.advance(10_000);
  gateway.registers = "hangs";
  await clock.advance(10_000);
  expect(world.agent.isReady).toBe(false);
  gateway.registers = "answers";
  await clock.advance(10_000);
  expect(world.agent.isReady).toBe(true);
  expect(gateway.registrationIds.length).toBeGreaterThan(4);
  expect(new Set(gateway.registrationIds).size).toBe(1);
});

test("a registration that one of a former life has replaced is followed by another one", async () => {
  const clock = new FakeClock();
  const gateway = new FakeGateway(clock);
  gateway.registers = "is replaced";
  await using world = await startWorld({ clock, gateway });
  gateway.registers = "answers";
  await clock.advance(10_000);
  expect(world.agent.isReady).toBe(true);
  expect(new Set(gateway.registrationIds).size).toBe(2);
});

test("two incarnations register under different ids", async () => {
  const clock = new FakeClock();
  const gateway = new FakeGateway(clock);
  await using first = await startWorld({ clock, gateway, seed: 1 });
  await using second = await startWorld({ clock, gateway, seed: 2 });
  expect([first.agent.incarnation, second.agent.incarnation]).toEqual([1, 2]);
});

test("a registration that is refused ends the agent with the reason", async () => {
  const clock = new FakeClock();
  const gateway = new FakeGateway(clock);
  gateway.registers = "refuses";
  await using world = await startWorld({ clock, gateway });
  expect(world.ended()?.cause).toMatchObject({ reason: "BAD_TOKEN" });
});

test("nothing is attached before the registration is answered, and its floors hold from the first frame", async () => {
  const clock = new FakeClock();
  const gateway = new FakeGateway(clock);
  gateway.delayMs = 1_000;
  gateway.floors = [{ queue: "q", floors: Array(32).fill(5) }];
  await using world = await startWorld({ clock, gateway });
  const stale = new Owner(world, { epoch: 4, incarnation: 1 });
  await stale.attach();
  expect(stale.frames).toEqual([]);
  await clock.advance(3_000);
  expect(stale.of("attached").map(({ refused }) => refused[0]?.floor)).toEqual([5]);
  expect((await new Owner(world, { epoch: 5 }).attach())?.refused).toEqual([]);
});

test("no work is taken before a first heartbeat has proven that the incarnation still stands", async () => {
  const clock = new FakeClock();
  const gateway = new FakeGateway(clock);
  gateway.answer = "invalid";
  await using world = await startWorld({ clock, gateway });
  await clock.advance(3_000);
  expect(world.agent.isReady).toBe(false);
  gateway.answer = "valid";
  await clock.advance(6_000);
  expect(world.agent.isReady).toBe(true);
});

test("an incarnation that was fenced before it had proven itself is followed by another one at once", async () => {
  const clock = new FakeClock();
  const gateway = new FakeGateway(clock);
  gateway.answer = "invalid";
  await using world = await startWorld({ clock, gateway });
  for (const id of gateway.registrationIds) gateway.over.add(id);
  await clock.advance(2_000);
  gateway.answer = "valid";
  await clock.advance(5_000);
  expect(world.agent.isReady).toBe(true);
  expect(world.agent.incarnation).toBe(2);
});

test("an incarnation that does not serve in its second try either is waited out", async () => {
  const clock = new FakeClock();
  const gateway = new FakeGateway(clock);
  gateway.answer = "invalid";
  await using _world = await startWorld({ clock, gateway });
  for (let round = 0; round < 40; round++) {
    for (const id of gateway.registrationIds) gateway.over.add(id);
    await clock.advance(500);
  }
  expect(new Set(gateway.registrationIds).size).toBe(2);
});

test("a first heartbeat without an answer is repeated, and not the registration", async () => {
  const clock = new FakeClock();
  const gateway = new FakeGateway(clock);
  gateway.answer = "fails";
  await using world = await startWorld({ clock, gateway });
  await clock.advance(10_000);
  gateway.answer = "valid";
  await clock.advance(6_000);
  expect(world.agent.isReady).toBe(true);
  expect(gateway.registrationIds).toHaveLength(1);
});

test("heartbeats go out every two seconds, and each valid answer extends the watchdog by what is left", async () => {
  await using world = await startWorld();
  world.gateway.delayMs = 300;
  await world.clock.advance(10_000);
  expect(world.gateway.heartbeats).toHaveLength(6);
  expect(world.extensions).toEqual([20_000, 19_700, 19_700, 19_700, 19_700]);
});

test.each(["fails", "hangs", "invalid"] as const)(
  "an agent whose heartbeat %s kills everything 20 s after the sending of the last good one, not sooner",
  async (answer) => {
    await using world = await startWorld();
    await withRunningAttempt(world);
    await world.clock.advance(9_000);
    const lastGood = world.gateway.heartbeats.at(-1) ?? 0;
    world.gateway.answer = answer;
    await world.clock.advance(lastGood + 19_999 - world.clock.monotonic());
    expect(world.pool.killCount).toBe(0);
    await world.clock.advance(1);
    expect(world.pool.killCount).toBe(1);
    await world.clock.settle();
    expect(fencedBecause(world)).toBe("SILENCE");
  },
);

test("a slow answer does not lengthen the trust: it counts from the sending", async () => {
  await using world = await startWorld();
  await world.clock.advance(1_998);
  world.gateway.delayMs = 4_500;
  // The next three are sent at 2, 4 and 6 s and answered 4.5 s later.
  await world.clock.advance(5_000);
  world.gateway.answer = "hangs";
  await world.clock.advance(10_000);
  const answered = world.gateway.heartbeats.filter((at) => at < 6_999);
  const lastGood = answered.at(-1) ?? 0;
  await world.clock.advance(lastGood + 19_999 - world.clock.monotonic());
  expect(world.pool.killCount).toBe(0);
  await world.clock.advance(1);
  expect(world.pool.killCount).toBe(1);
});

test("a call that hangs does not keep the next heartbeat from being sent", async () => {
  await using world = await startWorld();
  world.gateway.answer = "hangs";
  await world.clock.advance(2_100);
  world.gateway.answer = "valid";
  await world.clock.advance(60_000);
  expect(world.ended()).toBeUndefined();
});

test("the wall clock leaping forward ends the trust, as it does when the machine was suspended", async () => {
  await using world = await startWorld();
  await withRunningAttempt(world);
  world.clock.jump(60_000);
  await world.clock.advance(1_000);
  expect(world.pool.killCount).toBe(1);
  expect(fencedBecause(world)).toBe("SILENCE");
});

test("the wall clock set back does not lengthen the trust", async () => {
  await using world = await startWorld();
  await withRunningAttempt(world);
  world.gateway.answer = "fails";
  world.clock.jump(-3_600_000);
  await world.clock.advance(20_000);
  expect(world.pool.killCount).toBe(1);
});

test("an agent that was marked dead kills everything at once", async () => {
  await using world = await startWorld();
  const owner = await withRunningAttempt(world);
  world.gateway.answer = "dead";
  await world.clock.advance(2_000);
  expect(world.pool.killCount).toBe(1);
  expect(fencedBecause(world)).toBe("DEAD");
  expect(owner.ended?.cause).toBeInstanceOf(Fenced);
  expect(owner.endedAttempts, "what was killed is reported by nobody").toEqual([]);
});

test("an agent whose incarnation was dead before it started takes no work", async () => {
  const clock = new FakeClock();
  const gateway = new FakeGateway(clock);
  gateway.answer = "dead";
  await using world = await startWorld({ clock, gateway });
  expect(fencedBecause(world)).toBe("DEAD");
});

test("an agent that loses its watchdog loses the host lock, and kills everything", async () => {
  let exit: () => void = () => undefined;
  const exited = new Promise<void>((resolve) => {
    exit = resolve;
  });
  await using world = await startWorld({ watchdog: { extend: () => undefined, exited } });
  await withRunningAttempt(world);
  exit();
  await world.clock.settle();
  expect(world.pool.killCount).toBe(1);
  expect(fencedBecause(world)).toBe("WATCHDOG");
});

test("a frozen agent that wakes up past its deadline starts nothing of what waits in its streams", async () => {
  const clock = new FakeClock();
  const agentClock = clock.view();
  await using world = await startWorld({ clock, agentClock });
  const owner = new Owner(world);
  await owner.attach();
  agentClock.freeze();
  await clock.advance(30_000);
  await owner.dispatch({ seq: 1 });
  expect(world.pool.flights).toEqual([]);
  expect(world.pool.killCount).toBe(1);
  agentClock.thaw();
  await clock.advance(1);
  expect(fencedBecause(world)).toBe("SILENCE");
});

test("the run ends five seconds after the fence even if the instances do not", async () => {
  const pool = new FakePool();
  pool.killAll = () => new Promise(() => undefined);
  await using world = await startWorld({ pool });
  world.gateway.answer = "dead";
  await world.clock.advance(2_000);
  expect(world.ended()).toBeUndefined();
  await world.clock.advance(5_000);
  expect(fencedBecause(world)).toBe("DEAD");
});

test("a fenced agent tells it before it kills, forgets its journal, and attaches nobody any more", async () => {
  const journal = createMemoryJournal();
  const pool = new FakePool();
  const order: string[] = [];
  pool.killAll = async () => void order.push("killed");
  await using world = await startWorld({ journal, pool, onFenced: (reason) => order.push(`fenced ${reason}`) });
  await withRunningAttempt(world);
  pool.flight(1).invocation.onStarted("instance");
  expect(journal.recover().map(({ ref }) => ref)).toEqual([refOf(1)]);
  world.gateway.answer = "dead";
  await world.clock.advance(2_000);
  expect(order).toEqual(["fenced DEAD", "killed"]);
  expect(journal.recover().map(({ ref }) => ref)).toEqual([]);
  const owner = new Owner(world);
  await owner.attach();
  expect(owner.ended?.cause).toMatchObject({ code: "unavailable", reason: "AGENT_STOPPED" });
});

test("an answer that is overtaken by that of a later heartbeat does not shorten the trust", async () => {
  await using world = await startWorld();
  world.gateway.delayMs = 4_500;
  await world.clock.advance(2_500);
  world.gateway.delayMs = 0;
  await world.clock.advance(2_000);
  world.gateway.answer = "fails";
  const [, slow = 0, quick = 0] = world.gateway.heartbeats;
  expect(quick - slow).toBe(2_000);
  await world.clock.advance(quick + 19_999 - world.clock.monotonic());
  expect(world.pool.killCount).toBe(0);
  await world.clock.advance(1);
  expect(world.pool.killCount).toBe(1);
});

test("an answer that comes after the deadline revives nobody", async () => {
  const clock = new FakeClock();
  const agentClock = clock.view();
  await using world = await startWorld({ clock, agentClock });
  await withRunningAttempt(world);
  world.gateway.answer = "fails";
  await clock.advance(16_000);
  world.gateway.answer = "valid";
  world.gateway.delayMs = 4_500;
  await clock.advance(2_000);
  // From here on no timer of the agent fires, but the answer of the heartbeat sent at 18 s arrives at 22.5 s.
  agentClock.freeze();
  await clock.advance(4_400);
  expect(world.pool.killCount).toBe(0);
  await clock.advance(100);
  expect(world.pool.killCount).toBe(1);
  agentClock.thaw();
});

test("a first heartbeat that was answered too late proves nothing", async () => {
  const clock = new FakeClock();
  const gateway = new FakeGateway(clock);
  gateway.delayMs = 30_000;
  const config = { heartbeatTimeoutMs: 60_000, registerTimeoutMs: 60_000 };
  await using world = await startWorld({ clock, gateway, config });
  await clock.advance(60_100);
  expect(world.agent.isReady).toBe(false);
  expect(world.ended()).toBeUndefined();
  gateway.delayMs = 0;
  await clock.advance(40_000);
  expect(world.agent.isReady).toBe(true);
});
