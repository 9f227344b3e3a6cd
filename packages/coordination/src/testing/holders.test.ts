import { expect, test } from "vitest";
import { heldKeys } from "./holders.ts";

test("a key is held by the scheduler, or the incarnation of an agent, under whose lease it is", () => {
  const entries = [
    { key: "/claims/q0/0", value: "scheduler-0-aaaaaa" },
    { key: "/claims/q1/-", value: "scheduler-1-bbbbbb" },
    { key: "/members/scheduler-0-aaaaaa", value: "{}" },
    { key: "/slots/scheduler-0-aaaaaa", value: "{}" },
    { key: "/leader", value: "scheduler-1-bbbbbb" },
    { key: "/agents/agent-0", value: "3" },
    { key: "/wishes/q0", value: "{}" },
  ];
  expect(heldKeys(entries).map(({ kind, holder }) => [kind, holder])).toEqual([
    ["claim", "scheduler-0-aaaaaa"],
    ["claim", "scheduler-1-bbbbbb"],
    ["member", "scheduler-0-aaaaaa"],
    ["load", "scheduler-0-aaaaaa"],
    ["leader", "scheduler-1-bbbbbb"],
    ["agent", "agent-0/3"],
  ]);
});
