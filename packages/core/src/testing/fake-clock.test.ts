import fc from "fast-check";
import { expect, test } from "vitest";
import { FakeClock } from "./fake-clock.ts";

test("timers fire in the order of their times, then of their creation", async () => {
  const clock = new FakeClock();
  const fired: string[] = [];
  clock.timer(20, () => fired.push("second"));
  clock.timer(10, () => fired.push("first"));
  clock.timer(20, () => fired.push("third"));
  await clock.advance(19);
  expect(fired).toEqual(["first"]);
  await clock.advance(1);
  expect(fired).toEqual(["first", "second", "third"]);
  expect(clock.pendingTimers).toBe(0);
});

test("any set of timers fires in order, without the cancelled ones", async () => {
  const timers = fc.array(fc.record({ ms: fc.integer({ min: 1, max: 50 }), cancelled: fc.boolean() }), {
    maxLength: 300,
  });
  await fc.assert(
    fc.asyncProperty(timers, async (specs) => {
      const clock = new FakeClock();
      const fired: number[] = [];
      const cancels = specs.map(({ ms }, index) => clock.timer(ms, () => fired.push(index)));
      specs.forEach(({ cancelled }, index) => {
        if (cancelled) cancels[index]?.();
      });
      const expected = specs
        .map((spec, index) => ({ ...spec, index }))
        .filter(({ cancelled }) => !cancelled)
        .sort((a, b) => a.ms - b.ms || a.index - b.index);
      expect(clock.pendingTimers).toBe(expected.length);
      await clock.advance(50);
      expect(fired).toEqual(expected.map(({ index }) => index));
    }),
    { numRuns: 50, seed: 1 },
  );
});

test("code that waits sees the time at which its timer was due", async () => {
  const clock = new FakeClock({ wallStart: 1_000_000 });
  const seen: number[] = [];
  const loop = async () => {
    for (let turn = 0; turn < 3; turn++) {
      await clock.sleep(100);
      seen.push(clock.now());
    }
  };
  const done = loop();
  await clock.advance(1_000);
  await done;
  expect(seen).toEqual([1_000_100, 1_000_200, 1_000_300]);
  expect([clock.now(), clock.monotonic()]).toEqual([1_001_000, 1_000]);
});

test("a sleep longer than 2^31 ms lasts as long as it says", async () => {
  const clock = new FakeClock();
  let isOver = false;
  void clock.sleep(2 ** 31 + 1000).then(() => {
    isOver = true;
  });
  await clock.advance(2 ** 31 + 999);
  expect(isOver).toBe(false);
  await clock.advance(1);
  expect(isOver).toBe(true);
});

test("a sleep ends when its signal aborts, and leaves no timer", async () => {
  const clock = new FakeClock();
  const controller = new AbortController();
  const sleep = clock.sleep(1000, controller.signal);
  expect(clock.pendingTimers).toBe(1);
  controller.abort();
  await sleep;
  await clock.sleep(1000, controller.signal);
  expect([clock.pendingTimers, clock.monotonic()]).toEqual([0, 0]);
});

test("a view counts its own timers, also those that came due while it was frozen", async () => {
  const clock = new FakeClock();
  const view = clock.view();
  const counts = () => [clock.pendingTimers, view.pendingTimers];
  clock.timer(10, () => {});
  const cancel = view.timer(10, () => {});
  view.timer(20, () => {});
  expect(counts()).toEqual([3, 2]);
  cancel();
  cancel();
  expect(counts()).toEqual([2, 1]);
  view.freeze();
  await clock.advance(30);
  expect(counts()).toEqual([0, 1]);
  view.thaw();
  await clock.advance(30);
  expect(counts()).toEqual([0, 0]);
});

test("it runs until a condition holds, and no further", async () => {
  const clock = new FakeClock();
  let count = 0;
  const loop = async () => {
    while (count < 100) {
      await clock.sleep(10);
      count += 1;
    }
  };
  void loop();
  await clock.runUntil(() => count === 5);
  expect(clock.monotonic()).toBe(50);
  await clock.runUntil(clock.now() + 25);
  expect([clock.monotonic(), count]).toEqual([75, 7]);
});

test("it says so when a condition cannot hold any more, or does not hold in time", async () => {
  const clock = new FakeClock();
  await expect(clock.runUntil(() => false)).rejects.toThrow("nothing is left to happen");
  clock.timer(5000, () => {});
  await expect(clock.runUntil(() => false, { withinMs: 100 })).rejects.toThrow("within 100 ms");
  expect(clock.monotonic()).toBeGreaterThanOrEqual(100);
});

test("a loop that sleeps for nothing does not stop the time", async () => {
  const clock = new FakeClock();
  const controller = new AbortController();
  const loop = async () => {
    while (!controller.signal.aborted) await clock.sleep(0, controller.signal);
  };
  const done = loop();
  await clock.advance(100);
  controller.abort();
  await done;
  expect(clock.monotonic()).toBe(100);
});

test("two cannot move the clock at once", async () => {
  const clock = new FakeClock();
  const first = clock.advance(10);
  await expect(clock.advance(10)).rejects.toThrow("already being moved");
  await first;
});

test("a fast clock's second is shorter, and its deadlines have passed when they fire", async () => {
  const clock = new FakeClock({ wallStart: 0 });
  const fast = clock.view({ rate: 1.02, offsetMs: 500 });
  await clock.advance(12_345);
  const deadline = fast.monotonic() + 10_000;
  let firedAt = 0;
  fast.timer(10_000, () => {
    firedAt = clock.monotonic();
    expect(fast.monotonic()).toBeGreaterThanOrEqual(deadline);
  });
  await clock.advance(10_000);
  expect(firedAt).toBe(12_345 + Math.ceil(10_000 / 1.02));
  expect(fast.now()).toBe(Math.floor(22_345 * 1.02) + 500);
  fast.jump(-1_000);
  expect(fast.now()).toBe(Math.floor(22_345 * 1.02) - 500);
});

test("a frozen node's timers wait until it is thawed, while its time goes on", async () => {
  const clock = new FakeClock();
  const node = clock.view();
  const fired: string[] = [];
  node.timer(10, () => fired.push(`late at ${node.monotonic()}`));
  const cancel = node.timer(11, () => fired.push("cancelled"));
  node.timer(50, () => fired.push(`on time at ${node.monotonic()}`));
  clock.timer(20, () => fired.push(`other at ${clock.monotonic()}`));
  node.freeze();
  await clock.advance(30);
  expect(fired).toEqual(["other at 20"]);
  cancel();
  node.thaw();
  await clock.advance(20);
  expect(fired).toEqual(["other at 20", "late at 30", "on time at 50"]);
});

test("a condition over 100,000 timers is reached while every timer fires", async () => {
  const clock = new FakeClock();
  let fired = 0;
  for (let index = 0; index < 100_000; index++) clock.timer(1 + ((index * 7919) % 50_000), () => fired++);
  await clock.runUntil(() => fired === 100_000);
  expect(clock.pendingTimers).toBe(0);
});
