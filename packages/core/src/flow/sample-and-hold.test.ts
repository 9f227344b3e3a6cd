import fc from "fast-check";
import { expect, test } from "vitest";
import { seededRandom } from "../testing/seeded-random.ts";
import { createSampleAndHold, defaultSampleAndHoldConfig, type SampleAndHold } from "./sample-and-hold.ts";

const config = defaultSampleAndHoldConfig;

/** Units of one key each, in a shuffled order that follows from the seed. */
function arrivals(counts: ReadonlyMap<string, number>, seed: number): string[] {
  const random = seededRandom(seed);
  const keys = [...counts].flatMap(([key, count]) => new Array<string>(count).fill(key));
  for (let index = keys.length - 1; index > 0; index--) {
    const other = Math.floor(random.next() * (index + 1));
    [keys[index], keys[other]] = [keys[other] as string, keys[index] as string];
  }
  return keys;
}

/** One key of `units` in a table whose threshold is 100, as often as asked. */
function alone(runs: number, { units, oversampling }: { readonly units: number; readonly oversampling: number }) {
  const random = seededRandom(runs);
  const missed: number[] = [];
  let notHeld = 0;
  for (let run = 0; run < runs; run++) {
    const subject = createSampleAndHold(random, { ...config, thresholdMin: 100, oversampling });
    for (let at = 0; at < units; at++) subject.count("heavy");
    const [held] = subject.endInterval().held;
    if (held === undefined) notHeld += 1;
    else missed.push(units - held.count);
  }
  return { notHeld, missedMean: missed.reduce((sum, count) => sum + count, 0) / missed.length };
}

test("while little arrives everything is counted exactly", () => {
  const subject = createSampleAndHold(seededRandom(1));
  const counts = new Map(Array.from({ length: 100 }, (_, index) => [`key${index}`, index + 1] as const));
  for (let interval = 0; interval < 3; interval++) {
    for (const [key, count] of counts) subject.count(key, count);
    const { total, held } = subject.endInterval();
    expect(total).toBe(5_050);
    expect(new Map(held.map(({ key, count }) => [key, count]))).toEqual(counts);
    expect(held.every(({ count, estimate }, index) => count === 100 - index && estimate >= count)).toBe(true);
  }
});

test("somebody at the threshold is missed about as seldom as e^-O", () => {
  // e^-4 is 1.8 %, e^-20 is 2e-9.
  const { notHeld } = alone(2_000, { units: 100, oversampling: 4 });
  expect(notHeld).toBeGreaterThan(20);
  expect(notHeld).toBeLessThan(55);
  expect(alone(2_000, { units: 100, oversampling: 20 }).notHeld).toBe(0);
});

test("what is missed of those that are held is T/O on average", () => {
  const { missedMean } = alone(2_000, { units: 1_000, oversampling: 4 });
  expect(missedMean).toBeGreaterThan(21);
  expect(missedMean).toBeLessThan(27);
});

test("somebody who was large is counted exactly in the next interval", () => {
  const subject = createSampleAndHold(seededRandom(3), { ...config, thresholdMin: 200 });
  const small = Array.from({ length: 1_000 }, (_, index) => [`small${index}`, 10] as const);
  const counts = new Map<string, number>([...small, ["heavy", 2_000]]);
  for (let interval = 0; interval < 5; interval++) {
    for (const key of arrivals(counts, interval)) subject.count(key);
    const heavy = subject.endInterval().held.find(({ key }) => key === "heavy");
    if (interval >= 1) expect(heavy).toEqual({ key: "heavy", count: 2_000, estimate: 2_000 });
  }
});

test("a batch counts as its units one by one do, and is never counted higher", () => {
  const subject = createSampleAndHold(seededRandom(4), { ...config, thresholdMin: 20_000 });
  subject.count("large batch", 1_000_000);
  expect(subject.endInterval().held).toEqual([{ key: "large batch", count: 1_000_000, estimate: 1_000_999 }]);
  for (let at = 0; at < 100_000; at++) subject.count(`small${at}`);
  expect(subject.size).toBeLessThan(150);
});

test("nobody is counted too high, and the table stays within its bound, whatever arrives", () => {
  const intervals = fc.array(
    fc.array(fc.tuple(fc.integer({ min: 0, max: 400 }), fc.integer({ min: 1, max: 50 })), { maxLength: 600 }),
    { minLength: 1, maxLength: 6 },
  );
  const property = (seed: number, sent: readonly (readonly (readonly [number, number])[])[]) => {
    const subject = createSampleAndHold(seededRandom(seed), { ...config, entriesMax: 16, oversampling: 2 });
    for (const interval of sent) {
      const truth = new Map<string, number>();
      for (const [name, units] of interval) {
        const key = `key${name}`;
        truth.set(key, (truth.get(key) ?? 0) + units);
        subject.count(key, units);
        expect(subject.size).toBeLessThanOrEqual(16);
      }
      const { total, held } = subject.endInterval();
      expect(total).toBe([...truth.values()].reduce((sum, units) => sum + units, 0));
      expect(held.every(({ key, count }) => count <= (truth.get(key) ?? 0))).toBe(true);
    }
  };
  fc.assert(fc.property(fc.integer(), intervals, property), { seed: 1, numRuns: 100 });
});

test("one that sends much is found in the second interval at the latest, however many strangers fill the table first", () => {
  const subject = createSampleAndHold(seededRandom(5), { ...config, entriesMax: 1_024 });
  const flood = (interval: number) => {
    for (let at = 0; at < 100_000; at++) {
      subject.count(`stranger ${interval} ${at}`);
      if (at % 20 === 0) subject.count("heavy");
    }
    return subject.endInterval().held.find(({ key }) => key === "heavy")?.count ?? 0;
  };
  flood(0);
  expect(flood(1)).toBeGreaterThan(4_000);
  expect(flood(2)).toBe(5_000);
});

test("the threshold comes down again when little arrives", () => {
  const subject = createSampleAndHold(seededRandom(6), { ...config, entriesMax: 64 });
  flood(subject, 100_000);
  expect(subject.threshold).toBeGreaterThan(100);
  for (let interval = 0; interval < 40; interval++) flood(subject, 20);
  expect(subject.threshold).toBe(config.oversampling);
});

function flood(subject: SampleAndHold, keys: number): void {
  for (let at = 0; at < keys; at++) subject.count(`key${at}`);
  subject.endInterval();
}
