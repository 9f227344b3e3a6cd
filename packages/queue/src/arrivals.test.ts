import { AccountId, FunctionName } from "@sluice/core";
import { expect, test } from "vitest";
import { type Arrivals, formatArrivals, parseArrivals, reportedFlowsMax } from "./arrivals.ts";

const flow = { accountId: AccountId("a"), functionName: FunctionName("f"), queue: "q0", perSecond: 12.5, waiting: 7 };
const report: Arrivals = { serverId: "s1", totals: new Map([["q0", 20]]), flows: [flow] };

test("a report arrives as it was sent", () => {
  expect(parseArrivals(formatArrivals(report))).toEqual(report);
});

test("a count that is not known stays so", () => {
  const unknown = { ...report, flows: [{ ...flow, waiting: undefined }] };
  expect(parseArrivals(formatArrivals(unknown))).toEqual(unknown);
});

test("however many send, a report fits into a hint", () => {
  const long = { ...flow, accountId: AccountId("a".repeat(64)), functionName: FunctionName("f".repeat(64)) };
  const text = formatArrivals({ ...report, flows: new Array(10_000).fill(long) });
  expect(text.length).toBeLessThan(32 * 1024);
  expect(parseArrivals(text)?.flows).toHaveLength(reportedFlowsMax);
});

test("what cannot be read is left out", () => {
  for (const text of ["", "null", "7", "{}", '{"serverId":"s"}', '{"serverId":1,"totals":[],"flows":[]}']) {
    expect(parseArrivals(text)).toBeUndefined();
  }
  const good = ["q0", "a", "f", 1, 2];
  const flows = [null, [], ["q0", "a", "f", -1, 2], ["q0", "a"], good];
  const parsed = parseArrivals(JSON.stringify({ serverId: "s", totals: [["q0", 3], ["q1"], null], flows }));
  expect(parsed?.totals).toEqual(new Map([["q0", 3]]));
  expect(parsed?.flows).toHaveLength(1);
});
