import fc from "fast-check";
import { expect, test } from "vitest";
import { keptForOthers } from "./reserved.ts";

const account = fc.record({
  concurrencyMax: fc.integer({ min: 1, max: 8 }),
  /** By function; 0: it has nothing of its own. */
  slots: fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 5 }),
  /** What arrives, of which function, and whether one of them ends before. */
  steps: fc.array(fc.record({ name: fc.nat(4), ends: fc.option(fc.nat(4)) }), { maxLength: 60 }),
});

test("whoever has less running than is kept for it starts at once, and the account never has more than it may", () => {
  fc.assert(
    fc.property(account, ({ concurrencyMax, slots, steps }) => {
      const reserved = new Map(slots.flatMap((count, index) => (count > 0 ? [[`f${index}`, count]] : [])));
      const active = new Map<string, number>();
      const activeOf = (key: string) => active.get(key) ?? 0;
      const sum = (counts: Iterable<number>) => [...counts].reduce((total, count) => total + count, 0);
      const isTooMuch = sum(reserved.values()) > concurrencyMax;
      for (const { name, ends } of steps) {
        const ending = `f${ends}`;
        if (activeOf(ending) > 0) active.set(ending, activeOf(ending) - 1);
        const key = `f${name}`;
        const kept = keptForOthers(key, { reserved, concurrencyMax }, activeOf);
        const room = concurrencyMax - sum(active.values()) - kept;
        if (!isTooMuch && activeOf(key) < (reserved.get(key) ?? 0)) expect(room).toBeGreaterThan(0);
        if (room > 0) active.set(key, activeOf(key) + 1);
        expect(sum(active.values())).toBeLessThanOrEqual(concurrencyMax);
      }
    }),
  );
});

test("where more is kept than the account may run, the first ones have theirs", () => {
  const reserved = new Map([
    ["a", 2],
    ["b", 2],
  ]);
  const kept = (key: string) => keptForOthers(key, { reserved, concurrencyMax: 3 }, () => 0);
  expect([kept("a"), kept("b"), kept("c")]).toEqual([1, 2, 3]);
});
