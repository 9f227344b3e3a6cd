// Each checker on histories made by hand: it must see what is wrong, and nothing in what is right.
import { aTask } from "@sluice/core/testing";
import { describe, expect, test } from "vitest";
import { emptyHistory } from "./history.ts";
import { i1 } from "./i1.ts";
import { i2 } from "./i2.ts";
import { i3 } from "./i3.ts";
import { i4 } from "./i4.ts";
import { i5 } from "./i5.ts";
import { i6 } from "./i6.ts";
import { i8 } from "./i8.ts";
import { check, checkedBy } from "./index.ts";
import { history, inserted, owner, park, run, settle, submitted, succeeded, successor, written } from "./testing.ts";

test("a task that runs once and succeeds breaks nothing", () => {
  const calm = history({
    submissions: [submitted()],
    store: [
      { kind: "floors read", at: 0, by: "s1.1", queue: "q0", floors: [] },
      { kind: "raised", at: 0, by: "s1.1", owner },
      inserted(),
      written(settle()),
    ],
    claims: [{ queue: "q0", prefix: "", ownerId: "s1.1", revision: 5, from: 0, until: undefined }],
    agents: [
      { kind: "attached", at: 1, agentId: "a1", incarnation: 1, owner },
      { kind: "dispatched", at: 2, agentId: "a1", incarnation: 1, seq: 1, attempt: 1, queue: "q0", lane: 0, epoch: 5 },
    ],
    executions: [run()],
    rows: [succeeded],
    observations: [{ at: 200, account: "main", function: "echo", taskId: "task-1", status: "Succeeded", attempt: 1 }],
  });
  expect(check(calm)).toEqual([]);
  expect(checkedBy(calm)).toHaveLength(14);
});

describe("a history that lacks sources", () => {
  test("names the invariants that were checked, and the others find nothing", () => {
    const executions = [run(), run({ attempt: 2, startedAt: 15 })];
    const partial = { ...emptyHistory(), executions };
    expect(checkedBy(partial)).toEqual(["I3", "I5"]);
    expect(check(partial).map(({ invariant }) => invariant)).toEqual(["I3"]);
  });
  test("bugs are violations, whatever else is known", () => {
    expect(check({ ...emptyHistory(), bugs: ["oops"] })).toEqual([{ invariant: "bug", message: "oops" }]);
  });
  test("a checker refuses to judge without what it needs", () => {
    expect(() => i3.check(emptyHistory())).toThrow("I3 needs executions");
  });
});

describe("I1", () => {
  test("an accepted task without a row is lost", () => {
    expect(i1.check(history({ submissions: [submitted()] }))).toHaveLength(1);
  });
  test("a task that nobody knows to be accepted need not exist", () => {
    expect(i1.check(history({ submissions: [submitted({ answer: "unknown" })] }))).toEqual([]);
  });
  test("a row that never becomes final is lost, whoever knows of it", () => {
    expect(i1.check(history({ rows: [aTask({ status: "Retrying" })] }))).toHaveLength(1);
  });
});

describe("I2", () => {
  test("a final status is never overwritten", () => {
    const store = [inserted(), written(settle()), written(settle({ status: "Failed" }), { by: "s2.1" })];
    expect(i2.check(history({ store, rows: [succeeded], executions: [run()] }))).toHaveLength(1);
  });
  test("a second write whose guard did not hold is no violation", () => {
    const store = [inserted(), written(settle()), written(settle({ status: "Failed" }), { applied: false })];
    expect(i2.check(history({ store, rows: [succeeded], executions: [run()] }))).toEqual([]);
  });
  test("the row says what was settled", () => {
    const store = [inserted(), written(settle({ status: "Failed" }))];
    expect(i2.check(history({ store, rows: [succeeded], executions: [run()] }))).toHaveLength(1);
  });
  test("a success was really run to its end", () => {
    expect(i2.check(history({ rows: [succeeded], executions: [run({ how: "killed" })] }))).toHaveLength(1);
  });
  test("what a client saw as final stays", () => {
    const seen = { at: 1, account: "main", function: "echo", taskId: "task-1", status: "Failed", attempt: 1 };
    expect(i2.check(history({ rows: [succeeded], executions: [run()], observations: [seen] }))).toHaveLength(1);
  });
});

describe("I3", () => {
  test("attempts that overlap are seen, across agents", () => {
    const executions = [run(), run({ attempt: 2, agentId: "a2", startedAt: 19, endedAt: 30 })];
    expect(i3.check(history({ executions }))).toHaveLength(1);
  });
  test("one that still runs overlaps everything after it", () => {
    const executions = [run({ endedAt: undefined, how: undefined }), run({ attempt: 2, startedAt: 500 })];
    expect(i3.check(history({ executions }))).toHaveLength(1);
  });
  test("one after the other is right", () => {
    expect(i3.check(history({ executions: [run(), run({ attempt: 2, startedAt: 20, endedAt: 30 })] }))).toEqual([]);
  });
  test("a row that is settled or parked while its attempt runs is seen", () => {
    const ends = [settle({ status: "Stopped" }), park(2)];
    for (const write of ends)
      expect(i3.check(history({ store: [written(write, { at: 15 })], executions: [run()] }))).toHaveLength(1);
  });
  test("a row that is settled when its attempt has ended, or by a write that had no effect, is right", () => {
    const store = [written(settle(), { at: 15, applied: false }), written(settle(), { at: 20 })];
    expect(i3.check(history({ store, executions: [run()] }))).toEqual([]);
  });
});

describe("I4", () => {
  const again = run({ agentId: "a2", epoch: 9, startedAt: 50, endedAt: 60 });
  const life = { agentId: "a1", incarnation: () => 1, upAt: 0, downAt: 40 };
  test("an attempt runs once while its agent lives", () => {
    expect(i4.check(history({ executions: [run(), again], lives: [{ ...life, downAt: undefined }] }))).toHaveLength(1);
  });
  test("an attempt runs once under one owner", () => {
    expect(i4.check(history({ executions: [run(), { ...again, epoch: 5 }], lives: [life] }))).toHaveLength(1);
  });
  test("it may run again when both its agent and its owner are gone", () => {
    expect(i4.check(history({ executions: [run(), again], lives: [life] }))).toEqual([]);
  });
  test("an agent that was marked dead is gone", () => {
    const store = [{ kind: "died", at: 40, agentId: "a1", incarnation: 1 }] as const;
    expect(i4.check(history({ executions: [run(), again], store }))).toEqual([]);
    const later = { ...store[0], at: 70 } as const;
    expect(i4.check(history({ executions: [run(), again], store: [...store, later] }))).toEqual([]);
    expect(i4.check(history({ executions: [run(), again], store: [later] }))).toHaveLength(1);
  });
});

describe("I5", () => {
  test("a floor never goes down, not even of a part", () => {
    const low = { queue: "q0", prefix: "1", epoch: 3 };
    const store = [
      { kind: "raised", at: 0, by: "s1.1", owner } as const,
      { kind: "raised", at: 1, by: "s2.1", owner: low } as const,
    ];
    expect(i5.check(history({ store }))).toHaveLength(1);
  });
  test("a row is written at its attempt", () => {
    expect(i5.check(history({ store: [inserted(), written(park(2)), written(settle())] }))).toHaveLength(1);
    expect(i5.check(history({ store: [inserted(), written(park(2)), written(settle({ attempt: 2 }))] }))).toEqual([]);
  });
  test("no attempt starts after a later one", () => {
    const executions = [run({ attempt: 2 }), run({ attempt: 1, startedAt: 30, endedAt: 40 })];
    expect(i5.check(history({ executions }))).toHaveLength(1);
  });
});

describe("I6", () => {
  const raises = [
    { kind: "raised", at: 0, by: "s1.1", owner },
    { kind: "raised", at: 50, by: "s2.1", owner: successor },
  ] as const;
  test("the store takes nothing from an owner that was replaced", () => {
    expect(i6.check(history({ store: [...raises, inserted(), written(settle())] }))).toHaveLength(1);
    const unparked = { kind: "unparked", at: 60, by: "s1.1", owner, seqs: [1] } as const;
    expect(i6.check(history({ store: [...raises, inserted(), unparked] }))).toHaveLength(1);
    const batch = { ...unparked, kind: "batch", operationId: "o1", did: "deleted" } as const;
    expect(i6.check(history({ store: [...raises, inserted(), batch] }))).toHaveLength(1);
    expect(i6.check(history({ store: [raises[0], inserted(), batch] }))).toEqual([]);
  });
  test("the store takes nothing from the owner of other lanes", () => {
    const other = { ...owner, prefix: "1" };
    expect(i6.check(history({ store: [inserted(), written(settle(), { owner: other })] }))).toHaveLength(1);
  });
  test("an agent takes no owner below the highest that it has seen", () => {
    const agent = { kind: "attached", at: 1, agentId: "a1", incarnation: 1 } as const;
    const agents = [
      { ...agent, owner: successor },
      { ...agent, at: 2, owner },
    ];
    expect(i6.check(history({ agents }))).toHaveLength(1);
    const atOnce = agents.map((event) => ({ ...event, at: 1 }));
    expect(i6.check(history({ agents: atOnce }))).toEqual([]);
    const reborn = [
      { ...agent, owner: successor },
      { ...agent, at: 2, incarnation: 2, owner },
    ];
    expect(i6.check(history({ agents: reborn }))).toEqual([]);
  });
  test("what an owner that was replaced dispatches does not start", () => {
    const agents = [
      { kind: "attached", at: 1, agentId: "a1", incarnation: 1, owner: successor } as const,
      {
        kind: "dispatched",
        at: 2,
        agentId: "a1",
        incarnation: 1,
        seq: 1,
        attempt: 1,
        queue: "q0",
        lane: 0,
        epoch: 5,
      } as const,
    ];
    expect(i6.check(history({ agents, executions: [run()] }))).toHaveLength(1);
    expect(i6.check(history({ agents }))).toEqual([]);
  });
  test("an agent takes no owner below the floor at its registration", () => {
    const registered = { kind: "registered", at: 60, agentId: "a1", incarnation: 1 } as const;
    const agents = [{ kind: "attached", at: 70, agentId: "a1", incarnation: 1, owner } as const];
    expect(i6.check(history({ store: [...raises, registered], agents }))).toHaveLength(1);
    expect(i6.check(history({ store: [raises[0], registered, raises[1]], agents }))).toEqual([]);
  });
});

describe("I8", () => {
  test("without the store, a delay counts from when it was asked for, and the end is in the row", () => {
    const delayed = { store: undefined, rows: [aTask()], submissions: [submitted({ delayMs: 11 })] };
    expect(i8.check(history({ ...delayed, executions: [run()] }))).toHaveLength(1);
    expect(i8.check(history({ ...delayed, executions: [run({ startedAt: 12 })] }))).toEqual([]);
    const rows = [aTask({ status: "Stopped", endedAt: 9 })];
    expect(i8.check(history({ store: undefined, rows, executions: [run()] }))).toHaveLength(1);
  });
  test("nothing starts before it is due", () => {
    expect(i8.check(history({ store: [inserted({ dueAt: 11 })], executions: [run()] }))).toHaveLength(1);
    const parked = written(park(2, 500));
    const executions = [run({ attempt: 2, startedAt: 300 })];
    expect(i8.check(history({ store: [inserted(), parked], executions }))).toHaveLength(1);
  });
  test("nothing starts long after its expiry", () => {
    const executions = [run({ startedAt: 9_000 })];
    expect(i8.check(history({ store: [inserted({ expiresAt: 1_000 })], executions }))).toHaveLength(1);
  });
  test("without the store, an expiry is that of the row and that of the submission", () => {
    const start = { store: undefined, executions: [run({ startedAt: 9_000 })] };
    const expiring = [submitted({ delayMs: 500, expiresAfterMs: 1_000 })];
    const row = aTask({ enqueuedAt: 1_000, expiresAt: undefined });
    expect(i8.check(history({ ...start, rows: [row], submissions: [submitted()] }))).toEqual([]);
    expect(i8.check(history({ ...start, rows: [{ ...row, expiresAt: 2_500 }], submissions: [] }))).toHaveLength(1);
    expect(i8.check(history({ ...start, rows: [row], submissions: expiring }))).toHaveLength(1);
    const inTime = { ...start, executions: [run({ startedAt: 2_400 })] };
    expect(i8.check(history({ ...inTime, rows: [row], submissions: expiring }))).toEqual([]);
  });
  test("nothing starts after its end", () => {
    const store = [inserted(), written(settle({ status: "Stopped" }))];
    expect(i8.check(history({ store, executions: [run({ startedAt: 101 })] }))).toHaveLength(1);
  });
});
