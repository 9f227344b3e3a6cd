import { aTask } from "@sluice/core/testing";
import { describe, expect, test } from "vitest";
import { i11 } from "./i11.ts";
import { history, inserted, submitted } from "./testing.ts";

const rows = [aTask()];

describe("a task id", () => {
  test("names one row of a function of an account", () => {
    expect(i11.check(history({ rows: [aTask(), aTask({ seq: 2, taskId: aTask().taskId })] }))).toHaveLength(1);
    expect(i11.check(history({ rows: [aTask(), aTask({ seq: 2 })] }))).toEqual([]);
  });
  test("is inserted once, also if one of the rows is gone since", () => {
    expect(i11.check(history({ rows, store: [inserted(), inserted({ seq: 2 })] }))).toHaveLength(1);
    expect(i11.check(history({ rows, store: [inserted(), inserted({ seq: 2, account: "other" })] }))).toEqual([]);
  });
  test("is accepted from one submission", () => {
    const rival = submitted({ token: "token-2" });
    expect(i11.check(history({ rows, submissions: [submitted(), rival] }))).toHaveLength(1);
    expect(i11.check(history({ rows, submissions: [submitted(), { ...rival, answer: "duplicate" }] }))).toEqual([]);
    const nameless = [submitted({ token: "" }), submitted({ token: "" })];
    expect(i11.check(history({ rows, submissions: nameless }))).toHaveLength(1);
  });
  test("is accepted again for the same token", () => {
    expect(i11.check(history({ rows, submissions: [submitted(), submitted()] }))).toEqual([]);
  });
});

describe("a duplicate", () => {
  const duplicate = submitted({ answer: "duplicate" });
  test("is one of a task that exists", () => {
    const first = submitted({ token: "token-2" });
    expect(i11.check(history({ submissions: [first, duplicate] }))).toHaveLength(1);
    expect(i11.check(history({ rows, submissions: [first, duplicate] }))).toEqual([]);
  });
  test("is never one of itself", () => {
    expect(i11.check(history({ rows, submissions: [submitted({ answer: "unknown" }), duplicate] }))).toHaveLength(1);
  });
});
