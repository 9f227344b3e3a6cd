import { expect, test } from "vitest";
import type { View } from "./history.ts";
import { i13 } from "./i13.ts";
import { history } from "./testing.ts";

const view: View = { at: 1, account: "red", by: "list", function: "f", taskId: "t1", owner: "red" };

test("a client is shown what its account submitted, and nothing else", () => {
  expect(i13.check(history({ views: [view] }))).toEqual([]);
  expect(i13.check(history({ views: [view, { ...view, owner: "green" }] }))).toHaveLength(1);
});
