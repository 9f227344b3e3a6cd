import fc from "fast-check";
import { expect, test } from "vitest";
import { Recent } from "./recent.ts";

test("what was used last is remembered, what was deleted is not, and never twice as much as must be", () => {
  fc.assert(
    fc.property(fc.array(fc.record({ key: fc.nat(12), isDeleted: fc.boolean() })), (steps) => {
      const recent = new Recent<number>(5);
      let used: number[] = [];
      for (const { key, isDeleted } of steps) {
        const rank = used.indexOf(key);
        const value = recent.get(`${key}`);
        if (rank < 0) expect(value).toBeUndefined();
        else if (rank < 5) expect(value).toBe(key);
        used = used.filter((each) => each !== key);
        if (isDeleted) recent.delete(`${key}`);
        else {
          recent.set(`${key}`, key);
          used.unshift(key);
        }
        expect(recent.size).toBeLessThan(10);
      }
    }),
  );
});
