import { aTask } from "@sluice/core/testing";
import { describe, expect, test } from "vitest";
import type { Leftover } from "./history.ts";
import { i14 } from "./i14.ts";
import { history } from "./testing.ts";

function left(found: readonly Leftover[], alive: readonly string[] = ["s1.2", "a1/3"]) {
  return i14.check(history({ rest: { at: 1, alive, found } }));
}

describe("after everything has finished", () => {
  test.each(["instance", "unconfirmed attempt", "task in memory", "block", "timer"] as const)(
    "no %s is left, whoever lives",
    (kind) => {
      expect(left([{ kind, what: "x", holder: "a1/3" }])).toHaveLength(1);
    },
  );
  test.each(["consumer", "claim", "member", "agent", "leader", "load"] as const)(
    "a %s is left only of those who live",
    (kind) => {
      expect(left([{ kind, what: "x", holder: "s1.2" }])).toEqual([]);
      expect(left([{ kind, what: "x", holder: "s1.1" }])).toHaveLength(1);
      expect(left([{ kind, what: "x", holder: undefined }])).toHaveLength(1);
    },
  );
  test("no task is parked", () => {
    expect(i14.check(history({ rows: [aTask({ status: "Failed", dueAt: 5, parkReason: "backoff" })] }))).toHaveLength(
      1,
    );
    expect(i14.check(history({ rows: [aTask({ status: "Failed" })] }))).toEqual([]);
  });
});
