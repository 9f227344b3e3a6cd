import { TaskId } from "@sluice/core";
import { expect, test } from "vitest";
import { aNewTask, bytes, flow, owner, type Subject } from "./subject.ts";

export function describeInsert(subject: Subject): void {
  test("a new task is numbered and dated", async () => {
    const [outcome] = await subject.store.tasks.insert([aNewTask()]);

    expect(outcome).toEqual({ kind: "inserted", seq: 1, enqueuedAt: subject.now });
  });

  test("outcomes come in the order of the tasks, whatever the order of their keys", async () => {
    const tasks = ["c", "a", "b"].map((id) => aNewTask({ taskId: TaskId(id), payload: bytes(id) }));

    const outcomes = await subject.store.tasks.insert(tasks);

    for (const [index, id] of ["c", "a", "b"].entries()) {
      const task = await subject.store.tasks.get({ ...flow, taskId: TaskId(id) });
      expect(outcomes[index]).toMatchObject({ kind: "inserted", seq: task?.seq });
      expect(task?.payload).toEqual(bytes(id));
    }
  });

  test("tags are kept as they are, in their order", async () => {
    const tagged = aNewTask({ tags: ['a "quoted" \\ one', "{comma,}", "null", " ", "käse"] });
    const untagged = aNewTask();
    const [seq = 0] = await subject.insert(tagged, untagged);
    await subject.own();

    expect((await subject.store.tasks.get(tagged))?.tags).toEqual(tagged.tags);
    expect((await subject.store.tasks.get(untagged))?.tags).toEqual([]);
    expect((await subject.row(seq)).tags).toEqual(tagged.tags);
  });

  test("an empty batch does nothing", async () => {
    expect(await subject.store.tasks.insert([])).toEqual([]);
  });

  test("a known id is a duplicate, answered with the task without payload, result and events", async () => {
    const task = aNewTask({ payload: bytes("first") });
    await subject.insert(task);

    const [outcome] = await subject.store.tasks.insert([{ ...task, payload: bytes("second"), lane: 3 }]);

    const existing = await subject.store.tasks.get(task);
    expect(existing?.payload).toEqual(bytes("first"));
    expect(outcome).toEqual({ kind: "duplicate", existing: { ...existing, payload: new Uint8Array(), events: [] } });
  });

  test("the same token again is a repetition; another one, or none, is a duplicate", async () => {
    const task = aNewTask({ submissionToken: "one" });
    await subject.insert(task);

    const outcomes = await subject.store.tasks.insert([
      task,
      { ...task, submissionToken: "two" },
      { ...task, submissionToken: "" },
    ]);

    expect(outcomes.map((outcome) => outcome.kind)).toEqual(["repeated", "duplicate", "duplicate"]);
  });

  test("two submissions without a token are not repetitions of each other", async () => {
    const task = aNewTask();
    await subject.insert(task);

    const [outcome] = await subject.store.tasks.insert([task]);

    expect(outcome?.kind).toBe("duplicate");
  });

  test("an id twice in one batch is inserted once; the second is a duplicate or a repetition of the first", async () => {
    const plain = aNewTask({ payload: bytes("first") });
    const tokened = aNewTask({ submissionToken: "t" });

    const outcomes = await subject.store.tasks.insert([
      plain,
      tokened,
      { ...plain, payload: bytes("second") },
      tokened,
    ]);

    expect(outcomes.map((outcome) => outcome.kind)).toEqual(["inserted", "inserted", "duplicate", "repeated"]);
    const [first, , third] = outcomes;
    if (first?.kind !== "inserted" || third?.kind !== "duplicate") throw new Error("unreachable");
    expect(third.existing.seq).toBe(first.seq);
    expect((await subject.store.tasks.get(plain))?.payload).toEqual(bytes("first"));
  });

  test("new, known and repeated ids in one batch do not disturb each other", async () => {
    const known = aNewTask();
    await subject.insert(known);

    const outcomes = await subject.store.tasks.insert([aNewTask(), known, aNewTask()]);

    expect(outcomes.map((outcome) => outcome.kind)).toEqual(["inserted", "duplicate", "inserted"]);
  });

  test("one id may live in two functions and two accounts", async () => {
    const task = aNewTask();
    const elsewhere = [
      aNewTask({ ...task, functionName: "other" as typeof task.functionName }),
      aNewTask({ ...task, accountId: "other" as typeof task.accountId }),
    ];

    const outcomes = await subject.store.tasks.insert([task, ...elsewhere]);

    expect(outcomes.map((outcome) => outcome.kind)).toEqual(["inserted", "inserted", "inserted"]);
  });

  test("the stamp is the floor of the lane at that moment", async () => {
    const before = await subject.insert(aNewTask({ lane: 20 }));
    await subject.store.lanes.raiseFloor({ queue: "q", prefix: "1", epoch: 4 });
    const after = await subject.insert(aNewTask({ lane: 20 }), aNewTask({ lane: 3 }));
    await subject.own();

    const rows = await Promise.all([...before, ...after].map((seq) => subject.row(seq)));

    expect(rows.map((row) => row.stamp)).toEqual([0, 4, 0]);
  });

  test("a delay parks the task, and its expiry counts from the end of the delay", async () => {
    const [seq = 0] = await subject.insert(aNewTask({ delayMs: 500, expiresAfterMs: 2_000 }));
    await subject.own();

    const row = await subject.row(seq);

    expect(row).toMatchObject({ status: "Enqueued", dueAt: subject.now + 500, expiresAt: subject.now + 2_500 });
    expect(await subject.store.lanes.dueIn(owner, 1_000)).toBe(500);
  });

  test("without a delay it is not parked, and expires so long after now", async () => {
    const task = aNewTask({ expiresAfterMs: 2_000 });
    await subject.insert(task);

    const stored = await subject.store.tasks.get(task);

    expect(stored).toMatchObject({ dueAt: undefined, parkReason: undefined, expiresAt: subject.now + 2_000 });
  });

  test("a NUL in a text is the caller's mistake and inserts nothing", async () => {
    const task = aNewTask();

    const insertion = subject.store.tasks.insert([task, aNewTask({ submissionToken: "a\0b" })]);

    await expect(insertion).rejects.toMatchObject({ code: "invalid", reason: "INVALID_TEXT" });
    expect(await subject.store.tasks.get(task)).toBeUndefined();
  });

  test("payloads of every size come back as they were", async () => {
    const sizes = [0, 1, 255, 8_192, 131_072];
    const tasks = sizes.map((size) => aNewTask({ payload: Uint8Array.from({ length: size }, (_, at) => at % 256) }));
    await subject.insert(...tasks);

    for (const task of tasks) {
      const stored = (await subject.store.tasks.get(task))?.payload ?? new Uint8Array(1);
      expect(Buffer.compare(stored, task.payload)).toBe(0);
    }
  });

  test("a batch of ten thousand is one call, and one more is a bug", async () => {
    const tasks = Array.from({ length: 10_000 }, () => aNewTask());

    const outcomes = await subject.store.tasks.insert(tasks);

    expect(outcomes.filter((outcome) => outcome.kind === "inserted")).toHaveLength(10_000);
    await expect(subject.store.tasks.insert([...tasks, aNewTask()])).rejects.toThrow("is not 0 to 10000");
  });
}
