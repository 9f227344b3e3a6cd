// One api-server, and a million accounts that submit to it: who submits most is found in a table of 4,096 entries.
import { createSampleAndHold, defaultSampleAndHoldConfig, type Random } from "@sluice/core";
import { seededRandom } from "@sluice/core/testing";
import { expect, test } from "vitest";

const accounts = 1_000_000;
const perInterval = 500_000;
const { entriesMax } = defaultSampleAndHoldConfig;

test("with a Zipf law over a million accounts the table stays bounded, and the largest accounts are counted to a few per cent", () => {
  const random = seededRandom(7);
  const subject = createSampleAndHold(random.fork("table"));
  const draw = zipf(random, accounts, 1.1);
  for (let interval = 0; interval < 4; interval++) {
    const truth = new Map<number, number>();
    let sizeMax = 0;
    for (let at = 0; at < perInterval; at++) {
      const account = draw();
      subject.count(`account-${account}`);
      truth.set(account, (truth.get(account) ?? 0) + 1);
      sizeMax = Math.max(sizeMax, subject.size);
    }
    const { total, held } = subject.endInterval();
    const counts = new Map(held.map(({ key, count }) => [key, count]));
    const large = [...truth].filter(([, count]) => count >= 0.01 * total);
    expect(total).toBe(perInterval);
    expect(truth.size).toBeGreaterThan(50_000);
    expect(sizeMax).toBeLessThanOrEqual(entriesMax);
    expect(large.length).toBeGreaterThan(5);
    for (const [account, count] of large) {
      const counted = counts.get(`account-${account}`) ?? 0;
      expect(counted).toBeLessThanOrEqual(count);
      // From the second interval on they are held from the start, and the counts are exact.
      expect(counted).toBeGreaterThanOrEqual(interval === 0 ? 0.95 * count : count);
    }
  }
});

test("a million accounts that submit once each do not push out one that submits a hundredth of everything", () => {
  const subject = createSampleAndHold(seededRandom(8));
  for (let interval = 0; interval < 2; interval++) {
    for (let at = 0; at < accounts; at++) {
      subject.count(`interval-${interval}-account-${at}`);
      if (at % 100 === 0) subject.count("noisy");
    }
    const { held } = subject.endInterval();
    expect(held.length).toBeLessThanOrEqual(entriesMax);
    expect(held[0]?.key).toBe("noisy");
    expect(held[0]?.count).toBeGreaterThan(0.9 * (accounts / 100));
  }
});

/** Draws account numbers from 0; the first is drawn most. */
function zipf(random: Random, count: number, exponent: number): () => number {
  const cumulated = new Float64Array(count);
  let sum = 0;
  for (let rank = 0; rank < count; rank++) {
    sum += 1 / (rank + 1) ** exponent;
    cumulated[rank] = sum;
  }
  return () => {
    const target = random.next() * sum;
    let [low, high] = [0, count - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((cumulated[middle] ?? 0) < target) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}
