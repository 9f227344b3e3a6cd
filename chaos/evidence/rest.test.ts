import { leftIn } from "@sluice/checkers";
import { expect, test } from "vitest";
import type { LedgerExecution } from "../workload/ledger.ts";
import { type InstanceFacts, leftInJetStream, leftInstances } from "./rest.ts";

const claims = [
  { key: "/claims/q0/0", value: "scheduler-0-aaaaaa" },
  { key: "/claims/q1/-", value: "scheduler-1-bbbbbb" },
];

test("a consumer is held by the owner of its partition, if it is of the owner's epoch", () => {
  const lower = Array.from({ length: 32 }, (_, lane) => (lane < 16 ? 7 : 9));
  const floors = new Map([
    ["q0", lower],
    ["q1", lower.map(() => 4)],
  ]);
  const names = ["q0-0-2-7", "q0-0-2-6", "q0-1-2-9", "q0-all-2-7", "q1-all-0-4", "q2-all-0-4", "foreign"];
  const streams = [{ name: "SLUICE", messages: 0, consumers: names }];
  expect(leftInJetStream(streams, { entries: claims, floors }).map(({ holder }) => holder)).toEqual([
    "scheduler-0-aaaaaa",
    ...[undefined, undefined, undefined],
    "scheduler-1-bbbbbb",
    ...[undefined, undefined],
  ]);
});

test("a message is held by nobody, whoever it was delivered to", () => {
  const streams = [
    { name: "SLUICE", messages: 2, consumers: [] },
    { name: "empty", messages: 0, consumers: [] },
  ];
  const found = leftInJetStream(streams, { entries: claims, floors: new Map() });
  expect(found).toEqual([{ kind: "block", what: "(2 in stream SLUICE)", holder: undefined }]);
  expect(leftIn({ at: 0, alive: ["scheduler-0-aaaaaa"], found })).toEqual(found);
});

const warm = { pid: 50, instanceId: "i-1", ancestors: [40, 1] };
const execution: LedgerExecution = {
  ...{ account: "red", taskId: "long-1", seq: 1, attempt: 1, epoch: 5, agentId: "agent-0", instanceId: "i-1", pid: 50 },
  ...{ startedAt: 1, seenAt: 2, how: undefined },
};
const whatIn = (facts: Partial<InstanceFacts>) =>
  leftInstances({ processes: [warm], agents: [40], executions: [], running: [], ...facts }).map(({ what }) => what);

test("an instance stays while it is idle and its agent lives", () => {
  expect(whatIn({ executions: [{ ...execution, how: "ok" }] })).toEqual([]);
  expect(whatIn({ agents: [41] })).toEqual(["process 50 (i-1), under no agent,"]);
});

test("an execution that has not ended is left while its process lives, or is seen to run; one that was killed is not", () => {
  expect(whatIn({ executions: [execution] })).toEqual(["i-1, which runs red/long-1 attempt 1,"]);
  expect(whatIn({ executions: [execution], processes: [] })).toEqual([]);
  expect(whatIn({ executions: [execution], processes: [], running: [execution] })).toHaveLength(1);
});
