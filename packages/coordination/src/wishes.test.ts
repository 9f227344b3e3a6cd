import { FakeClock } from "@sluice/core/testing";
import { expect, test } from "vitest";
import type { Coordinator } from "./index.ts";
import { wishKey } from "./keys.ts";
import { createMemoryCoordinator } from "./memory.ts";
import { createFaultyCoordinator, type Fault } from "./testing/index.ts";
import { isResting, readWishes, type Wish, writeWish } from "./wishes.ts";

const wanted: Wish = { queue: "q0", partitions: [{ prefix: "", ownerId: "a" }], modRevision: 0 };

test("a wish that was written is read by everybody", async () => {
  await using coordinator = createMemoryCoordinator({ clock: new FakeClock() });
  const split = [
    { prefix: "0", ownerId: "a" },
    { prefix: "1", ownerId: "b" },
  ];
  expect(await writeWish(coordinator, wanted)).toBe(true);
  expect(await writeWish(coordinator, { queue: "q1", partitions: split, modRevision: 0 })).toBe(true);
  const [first, second] = await readWishes(coordinator);
  expect(first).toEqual({ ...wanted, modRevision: expect.any(Number) });
  expect(second).toMatchObject({ queue: "q1", partitions: split });
});

test("what rests, and at which rates prefixes were split, is kept with the wish", async () => {
  await using coordinator = createMemoryCoordinator({ clock: new FakeClock() });
  const partitions = [
    { prefix: "0", ownerId: "a", restsUntil: 5_000 },
    { prefix: "1", ownerId: "b" },
  ];
  const wish: Wish = { queue: "q0", partitions, modRevision: 0, shapeRestsUntil: 7_000, splitAt: { "": 900 } };
  await writeWish(coordinator, wish);
  expect(await onlyWish(coordinator)).toEqual({ ...wish, modRevision: expect.any(Number) });
});

test("a rest ends at its time, and one that no clock can have meant does not begin", () => {
  expect(isResting(5_000, 4_999)).toBe(true);
  expect(isResting(5_000, 5_000)).toBe(false);
  expect(isResting(undefined, 5_000)).toBe(false);
  expect(isResting(5_000 + 365 * 24 * 3_600_000, 5_000)).toBe(false);
});

test("a wish that somebody changed meanwhile is left as it is", async () => {
  await using coordinator = createMemoryCoordinator({ clock: new FakeClock() });
  await writeWish(coordinator, wanted);
  const read = await onlyWish(coordinator);
  expect(await writeWish(coordinator, { ...read, partitions: [{ prefix: "", ownerId: "b" }] })).toBe(true);
  expect(await writeWish(coordinator, { ...read, partitions: [{ prefix: "", ownerId: "c" }] })).toBe(false);
  expect(await writeWish(coordinator, { ...wanted, partitions: [{ prefix: "", ownerId: "d" }] })).toBe(false);
  expect((await onlyWish(coordinator)).partitions).toEqual([{ prefix: "", ownerId: "b" }]);
});

test("a wish is written only while the conditions of its writer hold", async () => {
  await using coordinator = createMemoryCoordinator({ clock: new FakeClock() });
  expect(await writeWish(coordinator, wanted, [{ key: "/leader", is: "present" }])).toBe(false);
  expect(await readWishes(coordinator)).toEqual([]);
});

test("a writer whose answer was lost recognises its success; an open outcome is no answer", async () => {
  const clock = new FakeClock();
  const coordinator = createMemoryCoordinator({ clock });
  let fault: Fault = "unheard";
  const faulty = createFaultyCoordinator({
    coordinator,
    clock,
    fault: (call) => (call === "commit" ? fault : undefined),
  });
  expect(await writeWish(faulty, wanted)).toBe(true);
  fault = "refused";
  const read = await onlyWish(coordinator);
  await expect(writeWish(faulty, { ...read, partitions: [{ prefix: "", ownerId: "b" }] })).rejects.toMatchObject({
    reason: "COORDINATOR_UNAVAILABLE",
  });
  expect(await onlyWish(coordinator)).toEqual(read);
});

test("partitions that leave a lane out, or cover one twice, are never written", async () => {
  await using coordinator = createMemoryCoordinator({ clock: new FakeClock() });
  for (const prefixes of [[], ["0"], ["0", "1", "10"], ["", "0"], ["0", "10", "111"]]) {
    const partitions = prefixes.map((prefix) => ({ prefix, ownerId: "a" }));
    await expect(writeWish(coordinator, { queue: "q0", partitions, modRevision: 0 })).rejects.toThrow("all lanes once");
  }
});

test("a text that is no wish is read as one without partitions, to be written anew", async () => {
  await using coordinator = createMemoryCoordinator({ clock: new FakeClock() });
  const texts = ["", "null", "[]", "{}", '{"partitions":[null]}', '{"partitions":[{"prefix":"2","ownerId":"a"}]}'];
  for (const value of [...texts, '{"partitions":[{"prefix":"0","ownerId":"a"}],"shapeRestsUntil":5}']) {
    const { revision } = await coordinator.commit([], [{ op: "put", key: wishKey("q0"), value }]);
    expect(await readWishes(coordinator)).toEqual([{ queue: "q0", partitions: [], modRevision: revision }]);
  }
});

async function onlyWish(coordinator: Coordinator): Promise<Wish> {
  const [wish] = await readWishes(coordinator);
  if (wish === undefined) throw new Error("no wish is written");
  return wish;
}
