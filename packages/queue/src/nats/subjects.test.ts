import { laneCount, priorities } from "@sluice/core";
import { expect, test } from "vitest";
import { consumerName, filterOf, parseConsumerName, parseSubject, sharesBlocks, subjectOf } from "./subjects.ts";

test("a subject says queue, priority and lane", () => {
  expect(subjectOf({ queue: "q7", priority: 2, lane: 0b10110 })).toBe("t.q7.2.1.0.1.1.0");
  for (const priority of priorities) {
    for (let lane = 0; lane < laneCount; lane++) {
      const address = { queue: "d-1_x", priority, lane };
      expect(parseSubject(subjectOf(address))).toEqual(address);
    }
  }
});

test("other subjects of the stream are not taken for blocks", () => {
  for (const subject of ["t.q0", "t.q0.4.0.0.0.0.0", "t.q0.2.0.0.0.0", "t.q0.2.0.0.0.0.0.0", "t.q0.2.0.0.2.0.0", "x"]) {
    expect(parseSubject(subject)).toBeUndefined();
  }
});

test("a filter has a token per bit of the prefix", () => {
  expect(filterOf({ queue: "q0", prefix: "", priority: 1 })).toBe("t.q0.1.>");
  expect(filterOf({ queue: "q0", prefix: "01", priority: 1 })).toBe("t.q0.1.0.1.>");
  expect(filterOf({ queue: "q0", prefix: "01101", priority: 0 })).toBe("t.q0.0.0.1.1.0.1");
});

test("the name of a consumer says what it delivers and under which epoch", () => {
  const shares = [
    { queue: "q0", prefix: "", priority: 2, epoch: 17 },
    { queue: "hot-all-2-9", prefix: "01101", priority: 0, epoch: Number.MAX_SAFE_INTEGER },
  ] as const;
  expect(shares.map(consumerName)).toEqual(["q0-all-2-17", "hot-all-2-9-01101-0-9007199254740991"]);
  for (const share of shares) expect(parseConsumerName(consumerName(share))).toEqual(share);
  for (const name of ["q0-all-2", "q0-2-1-5", "q0-all-4-1", "someone else's", ""]) {
    expect(parseConsumerName(name)).toBeUndefined();
  }
});

test("consumers share blocks when one prefix begins with the other, in one queue and priority", () => {
  const share = { queue: "q0", prefix: "01", priority: 2 } as const;
  expect(["", "0", "01", "011"].every((prefix) => sharesBlocks(share, { ...share, prefix }))).toBe(true);
  expect(["00", "1", "000"].some((prefix) => sharesBlocks(share, { ...share, prefix }))).toBe(false);
  expect(sharesBlocks(share, { ...share, queue: "q1" })).toBe(false);
  expect(sharesBlocks(share, { ...share, priority: 1 })).toBe(false);
});
