import { expect, test } from "vitest";
import { createChannel } from "./channel.ts";

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const values: T[] = [];
  for await (const value of source) values.push(value);
  return values;
}

test("what was pushed is read in order, before and after the reader came", async () => {
  const channel = createChannel<number>(10);
  channel.push(1);
  const reading = all(channel);
  await Promise.resolve();
  channel.push(2);
  channel.push(3);
  channel.close();
  expect(await reading).toEqual([1, 2, 3]);
});

test("a full channel refuses, and takes again when there is room", async () => {
  const channel = createChannel<number>(2);
  expect([channel.push(1), channel.push(2), channel.push(3)]).toEqual([true, true, false]);
  const reader = channel[Symbol.asyncIterator]();
  await reader.next();
  expect([channel.push(4), channel.size]).toEqual([true, 2]);
});

test("a closed channel refuses, and ends after what it holds", async () => {
  const channel = createChannel<number>(2);
  channel.push(1);
  channel.close();
  expect(channel.push(2)).toBe(false);
  expect(await all(channel)).toEqual([1]);
});
