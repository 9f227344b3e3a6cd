import { expect, test } from "vitest";
import { AdaptiveThrottle } from "./adaptive-throttle.ts";
import { LocallyThrottled, Rejected } from "./errors.ts";
import { type System, system } from "./system.ts";

const refusal = new Rejected("THROTTLED", "the account has its share", { retryAfterMs: 3_000 });

function start(sentPerAccepted = 2) {
  let [now, dice] = [0, 1];
  const fake: System = {
    ...system,
    monotonic: () => now,
    random: () => {
      // A small generator of its own: the same numbers in every run.
      dice = (dice * 48_271) % 2_147_483_647;
      return dice / 2_147_483_647;
    },
  };
  const throttle = new AdaptiveThrottle(fake, { sentPerAccepted });
  return {
    throttle,
    pass: (ms: number) => {
      now += ms;
    },
    /** Submits as often as asked to a server that accepts every `n`th that it hears of; how many it heard of. */
    submit(count: number, everyNth: number, functionName = "f"): number {
      let sent = 0;
      for (let at = 0; at < count; at++) {
        if (throttle.refusal(functionName) !== undefined) continue;
        sent += 1;
        throttle.answered(functionName, sent % everyNth === 0 ? undefined : refusal);
      }
      return sent;
    },
  };
}

test("while half of it is accepted everything is sent", () => {
  expect(start().submit(1_000, 2)).toBeGreaterThan(950);
});

test("when nothing is accepted hardly anything is sent", () => {
  expect(start().submit(10_000, 1_000_000)).toBeLessThan(40);
});

test("when a fifth is accepted it settles at two sent per accepted one", () => {
  const world = start();
  // The server has room for one in five of what is submitted, however little of it arrives.
  let [sent, accepted] = [0, 0];
  for (let at = 0; at < 10_000; at++) {
    if (world.throttle.refusal("f") !== undefined) continue;
    sent += 1;
    const hasRoom = accepted < (at + 1) / 5;
    if (hasRoom) accepted += 1;
    world.throttle.answered("f", hasRoom ? undefined : refusal);
  }
  expect(accepted).toBeGreaterThan(1_900);
  expect(sent / accepted).toBeGreaterThan(1.8);
  expect(sent / accepted).toBeLessThan(2.3);
});

test("a refusal here says so, and when the server wanted to hear again", () => {
  const { throttle } = start();
  for (let at = 0; at < 100; at++) throttle.answered("f", refusal);
  const refused = Array.from({ length: 50 }, () => throttle.refusal("f")).find((error) => error !== undefined);
  expect(refused).toBeInstanceOf(LocallyThrottled);
  expect(refused).toMatchObject({ code: "rejected", reason: "CLIENT_THROTTLED", retryAfterMs: 3_000 });
  expect(refused?.message).toMatch(/^not sent: the server accepted 0 of the last 1\d\d submissions of f;/);
});

test("two minutes later it is forgotten", () => {
  const world = start();
  world.submit(1_000, 1_000_000);
  expect(world.throttle.refusal("f")).toBeDefined();
  world.pass(121_000);
  expect(world.submit(1_000, 1)).toBe(1_000);
});

test("a function that is refused does not hold up another one", () => {
  const world = start();
  world.submit(1_000, 1_000_000);
  expect(world.submit(1_000, 1, "g")).toBe(1_000);
});

test("a few refusals, and refusals for other reasons, hold up nothing", () => {
  const { throttle } = start();
  for (let at = 0; at < 9; at++) throttle.answered("f", refusal);
  for (let at = 0; at < 1_000; at++) throttle.answered("g", new Rejected("NO", "never"));
  expect([throttle.refusal("f"), throttle.refusal("g")]).toEqual([undefined, undefined]);
});

test("it can be switched off", () => {
  expect(start(Number.POSITIVE_INFINITY).submit(1_000, 1_000_000)).toBe(1_000);
});
