import { expect, test } from "vitest";
import { createLookAhead, type Load } from "./look-ahead.ts";

const million = { tasksMax: 1_000_000, bytesMax: 100_000_000 };

/** Pulls blocks of `size` tasks, a few at a time, until there is no room. */
function fill(load: Load, roomFor: (load: Load) => number, size: number): void {
  for (let room = roomFor(load); room > 0; room = roomFor(load)) {
    const blocks = Math.min(room, 64);
    load.blocks += blocks;
    load.tasks += blocks * size;
  }
}
const loadsOf = (count: number): Load[] => Array.from({ length: count }, () => ({ blocks: 0, tasks: 0 }));

test("a consumer that is alone may hold four fifths of everything, and the next one finds room", () => {
  const lookAhead = createLookAhead(million);
  const [hog, next] = loadsOf(2) as [Load, Load];
  lookAhead.join([hog, next]);
  fill(hog, lookAhead.roomFor, 256);
  expect(hog.tasks / million.tasksMax).toBeCloseTo(0.8, 1);
  fill(next, lookAhead.roomFor, 256);
  expect(next.tasks).toBeGreaterThan(100_000);
});

test("all together hold no more than the bound and two full blocks each, whatever their blocks are like", () => {
  for (const size of [1, 16, 256]) {
    const lookAhead = createLookAhead(million);
    const loads = loadsOf(64);
    lookAhead.join(loads);
    for (const load of loads) fill(load, lookAhead.roomFor, size);
    const tasks = loads.reduce((sum, load) => sum + load.tasks, 0);
    const blocks = loads.reduce((sum, load) => sum + load.blocks, 0);
    expect(tasks).toBeLessThanOrEqual(million.tasksMax + 64 * 2 * 256);
    expect(blocks * 1_000 + tasks * 40).toBeLessThanOrEqual(million.bytesMax + 64 * 2 * (1_000 + 256 * 40));
    expect(loads.every((load) => load.blocks > 0)).toBe(true);
  }
});

test("tasks that were announced one by one are bounded by the memory that they take", () => {
  const lookAhead = createLookAhead(million);
  const [load] = loadsOf(1) as [Load];
  lookAhead.join([load]);
  fill(load, lookAhead.roomFor, 1);
  expect(load.blocks).toBeGreaterThan(50_000);
  expect(load.blocks).toBeLessThan(100_000);
});

test("who holds less than a full block may always pull one; a little room is not worth a pull; who left counts no more", () => {
  const lookAhead = createLookAhead({ tasksMax: 1_000, bytesMax: 1_000_000 });
  const full: Load = { blocks: 4, tasks: 1_000 };
  const leave = lookAhead.join([full]);
  expect(lookAhead.roomFor({ blocks: 0, tasks: 0 })).toBe(1);
  expect(lookAhead.roomFor({ blocks: 4, tasks: 6 })).toBe(1);
  expect(lookAhead.roomFor({ blocks: 1, tasks: 256 })).toBe(0);
  leave();
  expect(lookAhead.roomFor({ blocks: 0, tasks: 0 })).toBe(3);
});

test("who is cut down by its excess has room for many pulls, whatever its blocks are like and however little is allowed", () => {
  for (const bytesMax of [200_000, 2_000_000, million.bytesMax]) {
    for (const size of [1, 16, 256]) {
      const lookAhead = createLookAhead({ ...million, bytesMax });
      const [hog, other] = loadsOf(2) as [Load, Load];
      lookAhead.join([hog, other]);
      expect(lookAhead.isTight(hog)).toBe(false);
      fill(hog, lookAhead.roomFor, size);
      expect(lookAhead.isTight(hog)).toBe(true);

      const blocks = Math.ceil(lookAhead.excessOf(hog) / size);
      hog.blocks -= blocks;
      hog.tasks -= blocks * size;

      expect(blocks).toBeGreaterThan(0);
      expect(lookAhead.isTight(hog)).toBe(false);
      expect(lookAhead.roomFor(hog)).toBeGreaterThanOrEqual(8);
      expect(lookAhead.excessOf(hog)).toBeLessThanOrEqual(size);
    }
  }
});

test("an empty consumer is calm and not tight, and there is a reserve until everything is full", () => {
  const lookAhead = createLookAhead(million);
  const [hog] = loadsOf(1) as [Load];
  lookAhead.join([hog]);
  expect([lookAhead.isCalm(hog), lookAhead.isTight(hog), lookAhead.hasReserve()]).toEqual([true, false, true]);
  Object.assign(hog, { blocks: 4_000, tasks: 1_024_000 });
  expect([lookAhead.isCalm(hog), lookAhead.isTight(hog), lookAhead.hasReserve()]).toEqual([false, true, true]);
  Object.assign(hog, { blocks: 4_400, tasks: 1_126_400 });
  expect(lookAhead.hasReserve()).toBe(false);
});
