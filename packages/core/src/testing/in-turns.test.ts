import { expect, test } from "vitest";
import { inTurns } from "./in-turns.ts";

test("between two turns every promise that is ready runs, and what those make ready, however many turns there were", async () => {
  const seen: number[] = [];
  let depth = 0;
  await inTurns(() => {
    seen.push(depth);
    depth = 0;
    const deeper = async (): Promise<void> => {
      if (++depth < 20) await Promise.resolve().then(deeper);
    };
    void deeper();
    return seen.length === 300 ? true : undefined;
  });
  expect(seen).toEqual([0, ...new Array(299).fill(20)]);
});

test("work that is asynchronous is waited for, and nothing is called twice meanwhile", async () => {
  let running = 0;
  let calls = 0;
  const answer = await inTurns(async () => {
    expect(++running).toBe(1);
    await new Promise((resolve) => setImmediate(resolve));
    running--;
    return ++calls === 50 ? "done" : undefined;
  });
  expect([answer, calls]).toEqual(["done", 50]);
});

test("what the work throws is the answer, and it is not called again", async () => {
  for (const isAsync of [false, true]) {
    let calls = 0;
    const fail = () => {
      if (++calls === 20) throw new Error("the twentieth");
      return undefined;
    };
    await expect(inTurns(isAsync ? async () => fail() : fail)).rejects.toThrow("the twentieth");
    await inTurns(() => true);
    expect(calls).toBe(20);
  }
});
