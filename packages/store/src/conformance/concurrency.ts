// What must hold when statements of several services overlap. On one connection they only interleave; on many connections
// these tests meet locks.

import { type OwnedPartition, type Seq, TaskId } from "@sluice/core";
import { seededRandom } from "@sluice/core/testing";
import { expect, test } from "vitest";
import type { CodePackage, FunctionSettings, NewTask } from "../index.ts";
import { aNewTask, aSettle, bytes, flow, owner, type Subject } from "./subject.ts";
import { aPark } from "./writes.ts";

export function describeConcurrency(subject: Subject, { connections }: { readonly connections: number }): void {
  const writers = Math.max(2, connections);

  test("writers that insert the same ids in different orders do not deadlock, and each id is inserted once", async () => {
    const random = seededRandom(1);
    for (let round = 0; round < 20; round++) {
      const tasks = Array.from({ length: 40 }, (_, at) => aNewTask({ taskId: TaskId(`r${round}-${at}`) }));
      const batches = Array.from({ length: writers }, () => shuffled(tasks, () => random.next()));

      const outcomes = await Promise.all(batches.map((batch) => subject.store.tasks.insert(batch)));

      const inserted = outcomes.flat().filter((outcome) => outcome.kind === "inserted");
      expect(inserted).toHaveLength(tasks.length);
      expect(new Set(inserted.map((outcome) => outcome.seq)).size).toBe(tasks.length);
    }
  });

  test("of repeated submissions with one token, one is inserted and the others are repetitions", async () => {
    const task = aNewTask({ submissionToken: "t" });

    const outcomes = await Promise.all(Array.from({ length: writers * 3 }, () => subject.store.tasks.insert([task])));

    const kinds = outcomes.flat().map((outcome) => outcome.kind);
    expect(kinds.sort()).toEqual(["inserted", ...new Array(writers * 3 - 1).fill("repeated")]);
  });

  test("batches of one owner that overlap in different orders do not deadlock; each row is settled once", async () => {
    await subject.own();
    const random = seededRandom(2);
    for (let round = 0; round < 10; round++) {
      const seqs = await subject.insert(...Array.from({ length: 40 }, () => aNewTask()));
      const batches = Array.from({ length: writers }, () =>
        shuffled(seqs, () => random.next()).map((seq) => aSettle(seq)),
      );

      const answers = await Promise.all(batches.map((batch) => subject.store.lanes.write(owner, batch)));

      expect(answers.flat().filter((held) => held === true)).toHaveLength(seqs.length);
    }
  });

  test("a take-over against writes in flight: each write either came before it or is refused", async () => {
    for (let round = 0; round < 10; round++) {
      const queue = `take-over-${round}`;
      const before: OwnedPartition = { queue, prefix: "", epoch: 1 };
      const after: OwnedPartition = { queue, prefix: "0", epoch: 2 };
      const seqs = await subject.insert(...Array.from({ length: 32 }, (_, at) => aNewTask({ queue, lane: at % 16 })));
      await subject.store.lanes.raiseFloor(before);

      const inFlight = chunks(seqs, 4).map(async (chunk) => ({
        chunk,
        answer: await subject.store.lanes.write(
          before,
          chunk.map((seq) => aSettle(seq, { lane: (seqs.indexOf(seq) % 16) as 0 })),
        ),
      }));
      // The rows that a new owner reads after its take-over: nothing of the old one may change them any more.
      const seenAfter = (async () => {
        expect(await subject.store.lanes.raiseFloor(after)).toBe(true);
        return await finals(subject, after, seqs);
      })();
      const written = await Promise.all(inFlight);
      const seen = await seenAfter;

      expect(await finals(subject, after, seqs)).toEqual(seen);
      const held = written.filter(({ answer }) => answer !== "stale").flatMap(({ chunk }) => chunk);
      expect(new Set(held)).toEqual(seen);
      expect(await subject.store.lanes.write(before, [aSettle(seqs[0] ?? 0)])).toBe("stale");
    }
  });

  test("of two owners that take over at once, the higher epoch wins, whoever comes first", async () => {
    for (let round = 0; round < 10; round++) {
      const queue = `race-${round}`;
      const epochs = shuffled([3, 4, 5, 6], seededRandomNext(round));

      await Promise.all(epochs.map((epoch) => subject.store.lanes.raiseFloor({ queue, prefix: "", epoch })));

      expect(new Set(await subject.store.lanes.floors(queue))).toEqual(new Set([6]));
    }
  });

  test("requests to stop do not get lost between an owner's writes", async () => {
    await subject.own();
    const tasks = Array.from({ length: 20 }, () => aNewTask());
    const seqs = await subject.insert(...tasks);
    const park = { dueAt: subject.now, status: "Enqueued", reason: "overflow", nextAttempt: 1, retries: 0 } as const;

    await Promise.all([
      subject.store.lanes.write(
        owner,
        seqs.map((seq) => aPark(seq, park)),
      ),
      ...tasks.map((task) => subject.store.tasks.requestStop(task)),
      subject.store.lanes.unpark(owner, 100, []),
      subject.store.lanes.touch(owner, seqs),
    ]);

    const marked = await subject.store.lanes.marked(owner, 100);
    expect(marked).toHaveLength(tasks.length);
    for (const task of tasks) {
      const events = (await subject.store.tasks.get(task))?.events.map((event) => event.status);
      expect(events).toEqual(["Enqueued", "Stopping"]);
    }
  });

  test("registrations at once leave one living incarnation, and none twice", async () => {
    const host = { agentId: "host-1", address: "", slots: 1, version: "" };
    const ids = ["a", "b", "c", "d", "a", "b"];

    const registered = await Promise.all(
      ids.map((registrationId) => subject.store.agents.register({ ...host, registrationId })),
    );

    const incarnations = registered.map((each) => each.incarnation);
    expect(incarnations[4]).toBe(incarnations[0]);
    expect(incarnations[5]).toBe(incarnations[1]);
    expect([...new Set(incarnations)].sort()).toEqual([1, 2, 3, 4]);
    expect(await subject.store.agents.list()).toMatchObject([{ incarnation: 4 }]);
  });

  test("renewals and a verdict of death at once agree: who is dead was not renewed after", async () => {
    const { agents } = subject.store;
    const hosts = await Promise.all(
      Array.from({ length: 10 }, (_, at) =>
        agents.register({ agentId: `host-${at}`, address: "", slots: 1, version: "", registrationId: "r" }),
      ),
    );
    subject.passTime(25_000);

    const verdicts = hosts.map((host) => agents.markDead(host, 25_000));
    const renewed = await agents.renew([...hosts].reverse());
    const dead = await Promise.all(verdicts);

    for (const [index, host] of hosts.entries()) {
      const isRenewed = renewed.some((each) => each.agentId === host.agentId);
      expect(isRenewed).toBe(dead[index] === false);
    }
  });

  test("a code package that is dropped by one function and taken by another at once is kept for it", async () => {
    const code: CodePackage = { sha256: "c".repeat(64), zip: bytes("code") };
    const settings = { handler: "index.handler" } as FunctionSettings;
    for (let round = 0; round < 10; round++) {
      const first = { ...flow, functionName: `f${round}` as typeof flow.functionName };
      const second = { ...flow, functionName: `g${round}` as typeof flow.functionName };
      await subject.store.functions.create(first, settings, code);

      await Promise.all([
        subject.store.functions.delete(first),
        subject.store.functions.create(second, settings, code),
      ]);

      expect(await subject.store.functions.code(code.sha256)).toEqual(code.zip);
      await subject.store.functions.delete(second);
      expect(await subject.store.functions.code(code.sha256)).toBeUndefined();
    }
  });
}

async function finals(subject: Subject, reader: OwnedPartition, seqs: readonly Seq[]): Promise<Set<Seq>> {
  const rows = await subject.store.lanes.read(reader, seqs);
  if (rows === "stale") throw new Error("the new owner owns its lanes");
  return new Set(rows.filter((row) => row.endedAt !== undefined).map((row) => row.seq));
}

function chunks<Item>(items: readonly Item[], size: number): Item[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, at) => items.slice(at * size, (at + 1) * size));
}

function seededRandomNext(seed: number): () => number {
  const random = seededRandom(seed);
  return () => random.next();
}

function shuffled<Item extends NewTask | number>(items: readonly Item[], next: () => number): Item[] {
  return items
    .map((item) => ({ item, key: next() }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item);
}
