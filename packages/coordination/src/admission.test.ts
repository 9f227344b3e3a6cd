import { AccountId, FunctionName } from "@sluice/core";
import { FakeClock } from "@sluice/core/testing";
import { expect, test } from "vitest";
import {
  type Admission,
  admissionDropsMax,
  admissionQueuesMax,
  parseAdmission,
  readAdmission,
  writeAdmission,
} from "./admission.ts";
import { admissionKey, leaderKey } from "./keys.ts";
import { createMemoryCoordinator } from "./memory.ts";
import { createFaultyCoordinator, type Fault } from "./testing/index.ts";

const load = { waiting: 12_000, ageMs: 3_000, drainPerSecond: 250.5, retryAfterMs: 4_000, othersDrop: 0.25 };
const drop = {
  accountId: AccountId("noisy"),
  functionName: undefined,
  queue: "q0",
  probability: 0.75,
  share: 100,
  rate: 400,
};
const admission: Admission = { at: 1_000, validForMs: 5_000, queues: new Map([["q0", load]]), drops: [drop] };

test("what the leader writes is read by everybody", async () => {
  await using coordinator = createMemoryCoordinator({ clock: new FakeClock() });
  expect(await readAdmission(coordinator)).toEqual({ admission: undefined, modRevision: 0 });
  expect(await writeAdmission(coordinator, admission, [])).toBe(true);
  expect(await readAdmission(coordinator)).toEqual({ admission, modRevision: expect.any(Number) });
  const ofFunction = { ...drop, functionName: FunctionName("f"), queue: undefined };
  expect(await writeAdmission(coordinator, { ...admission, drops: [ofFunction] }, [])).toBe(true);
  expect((await readAdmission(coordinator)).admission?.drops).toEqual([ofFunction]);
});

test("whoever does not lead any more writes nothing", async () => {
  await using coordinator = createMemoryCoordinator({ clock: new FakeClock() });
  expect(await writeAdmission(coordinator, admission, [{ key: leaderKey, is: "present" }])).toBe(false);
  expect((await readAdmission(coordinator)).admission).toBeUndefined();
});

test("a writer whose answer was lost recognises its success; an open outcome is no answer", async () => {
  const clock = new FakeClock();
  const coordinator = createMemoryCoordinator({ clock });
  let fault: Fault = "unheard";
  const faulty = createFaultyCoordinator({
    coordinator,
    clock,
    fault: (call) => (call === "commit" ? fault : undefined),
  });
  expect(await writeAdmission(faulty, admission, [])).toBe(true);
  fault = "refused";
  const later = writeAdmission(faulty, { ...admission, at: 2_000 }, []);
  await expect(later).rejects.toMatchObject({ reason: "COORDINATOR_UNAVAILABLE" });
  expect((await readAdmission(coordinator)).admission).toEqual(admission);
});

test("what cannot be read of the document is left out, and never refuses more than was meant", () => {
  const base = { version: 1, at: 1, validForMs: 2, queues: {}, drops: [] };
  const parse = (change: object) => parseAdmission({ value: JSON.stringify({ ...base, ...change }) });
  for (const value of ["", "null", "[]", "7", "{}", '{"at":1}']) expect(parseAdmission({ value })).toBeUndefined();
  expect(parse({ queues: null, drops: 7 })).toEqual({ at: 1, validForMs: 2, queues: new Map(), drops: [] });
  const good = { account: "a", probability: 0.5, share: 1, rate: 2 };
  const bad = [
    null,
    {},
    { ...good, probability: 2 },
    { ...good, function: 7 },
    { ...good, queue: {} },
    { ...good, account: 1 },
  ];
  expect(parse({ drops: [...bad, good] })?.drops).toEqual([
    { accountId: "a", functionName: undefined, queue: undefined, probability: 0.5, share: 1, rate: 2 },
  ]);
  const empty = { waiting: 0, ageMs: 0, drainPerSecond: 0, retryAfterMs: 0, othersDrop: 0 };
  expect(parse({ queues: { q0: { waiting: -1, ageMs: "x" }, q1: { waiting: 3 } } })?.queues).toEqual(
    new Map([
      ["q0", empty],
      ["q1", { ...empty, waiting: 3 }],
    ]),
  );
});

test("however many queues and accounts there are, the document stays far below what etcd takes", async () => {
  await using coordinator = createMemoryCoordinator({ clock: new FakeClock() });
  const long = "x".repeat(60);
  const queues = new Map(Array.from({ length: 5_000 }, (_, waiting) => [`${long}${waiting}`, { ...load, waiting }]));
  const drops = Array.from({ length: 5_000 }, (_, rate) => ({ ...drop, accountId: AccountId(`a${rate}`), rate }));
  await writeAdmission(coordinator, { ...admission, queues, drops }, []);
  expect((await coordinator.get(admissionKey))?.value.length).toBeLessThan(256 * 1024);
  const read = (await readAdmission(coordinator)).admission;
  expect(read?.queues.size).toBe(admissionQueuesMax);
  expect(read?.queues.has(`${long}4999`)).toBe(true);
  expect(read?.drops).toHaveLength(admissionDropsMax);
  expect(read?.drops[0]?.rate).toBe(4_999);
});
