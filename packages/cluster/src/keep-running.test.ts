import { FakeClock, seededRandom } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { keepRunning } from "./keep-running.ts";

/** A part that can be killed, kept running on a clock of its own. */
function aPart() {
  const clock = new FakeClock();
  const stopped = new AbortController();
  const starts: number[] = [];
  const failures: unknown[] = [];
  const part = {
    name: "agent-0",
    pid: 1 as number | undefined,
    isWanted: true,
    isBroken: false,
    async start() {
      starts.push(clock.monotonic());
      if (part.isBroken) throw new Error("no");
      part.pid = starts.length + 1;
    },
  };
  const onRestart = (_part: unknown, failure?: unknown) => {
    if (failure !== undefined) failures.push(failure);
  };
  const running = keepRunning({ part, clock, random: seededRandom(1), onRestart }, stopped.signal);
  const end = async () => {
    stopped.abort();
    await running;
  };
  return { clock, part, starts, failures, end };
}

test("what is killed is started again within half a second, and only once", async () => {
  const { clock, part, starts, end } = aPart();
  await clock.advance(5_000);
  expect(starts).toEqual([]);
  part.pid = undefined;
  await clock.advance(500);
  expect([starts.length, part.pid]).toEqual([1, 2]);
  await clock.advance(60_000);
  expect(starts).toHaveLength(1);
  await end();
});

test("what was stopped stays so until somebody starts it", async () => {
  const { clock, part, starts, end } = aPart();
  Object.assign(part, { isWanted: false, pid: undefined });
  await clock.advance(60_000);
  expect(starts).toEqual([]);
  await end();
});

test("what is stopped during the back-off is not started after it", async () => {
  const { clock, part, starts, end } = aPart();
  part.pid = undefined;
  await clock.advance(110);
  part.isWanted = false;
  await clock.advance(60_000);
  expect(starts).toEqual([]);
  await end();
});

test("what keeps dying is started less and less often, but at least every eight seconds", async () => {
  const { clock, part, starts, failures, end } = aPart();
  Object.assign(part, { isBroken: true, pid: undefined });
  await clock.advance(300_000);
  const pauses = starts.slice(1).map((at, n) => at - (starts[n] ?? 0));
  expect(pauses[0]).toBeLessThan(1_000);
  expect(Math.max(...pauses)).toBeLessThan(8_000);
  expect(starts.length).toBeLessThan(120);
  expect(failures).toHaveLength(starts.length);
  await end();
});

test("what ran well for a while is started again soon", async () => {
  const { clock, part, starts, end } = aPart();
  for (let kills = 0; kills < 10; kills += 1) {
    part.pid = undefined;
    await clock.advance(20_000);
  }
  expect(starts).toHaveLength(10);
  part.pid = undefined;
  await clock.advance(500);
  expect(starts).toHaveLength(11);
  await end();
});
