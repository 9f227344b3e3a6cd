import { FakeClock } from "@sluice/core/testing";
import { expect, test } from "vitest";
import type { StreamInfo } from "./api.ts";
import { createFullness } from "./fullness.ts";

test("the larger share of the two bounds counts, and what was published here since", async () => {
  const fullness = createFullness(new FakeClock());
  expect(fullness.share()).toBeUndefined();
  fullness.learn(anInfo({ messages: 100, bytes: 20_000 }, { max_msgs: 1_000, max_bytes: 40_000 }));
  expect(fullness.share()).toBe(0.5);
  fullness.add(50);
  expect(fullness.share()).toBe(0.75);
  fullness.add(1_000);
  expect(fullness.share()).toBe(1);
  fullness.learn(anInfo({ messages: 300, bytes: 0 }, { max_msgs: 1_000, max_bytes: 40_000 }));
  expect(fullness.share()).toBe(0.3);
});

test("a stream without bounds is never full, and an old answer says nothing", async () => {
  const clock = new FakeClock();
  const fullness = createFullness(clock);
  fullness.learn(anInfo({ messages: 1e9, bytes: 1e12 }, { max_msgs: -1 }));
  expect(fullness.share()).toBe(0);
  await clock.advance(15_001);
  expect(fullness.share()).toBeUndefined();
});

function anInfo(
  state: { messages: number; bytes: number },
  bounds: { max_msgs?: number; max_bytes?: number },
): StreamInfo {
  const config = {
    ...{ name: "s", subjects: [], retention: "workqueue", storage: "file", discard: "new", num_replicas: 1 },
    ...bounds,
  };
  return { config, state: { ...state, last_seq: 0 } };
}
