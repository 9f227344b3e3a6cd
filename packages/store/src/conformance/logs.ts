import { expect, test } from "vitest";
import type { LogPiece } from "../index.ts";
import { aNewTask, aSettle, bytes, owner, type Subject } from "./subject.ts";

function aPiece(index: number, overrides: Partial<LogPiece> = {}): LogPiece {
  return { seq: 1, attempt: 1, index, stream: "stdout", at: 1_000 + index, data: bytes(`line ${index}`), ...overrides };
}

const all = { seq: 1, attempt: 1, after: -1, limit: 100 };

export function describeLogs(subject: Subject): void {
  test("pieces come back in their order, whatever the order of their arrival", async () => {
    await subject.store.logs.append([aPiece(2), aPiece(0, { stream: "stderr" })]);
    await subject.store.logs.append([aPiece(1)]);

    expect(await subject.store.logs.read(all)).toEqual([aPiece(0, { stream: "stderr" }), aPiece(1), aPiece(2)]);
  });

  test("a reader pages behind the last piece it has", async () => {
    await subject.store.logs.append([0, 1, 2, 3].map((index) => aPiece(index)));

    expect(await subject.store.logs.read({ ...all, after: 0, limit: 2 })).toEqual([aPiece(1), aPiece(2)]);
    expect(await subject.store.logs.read({ ...all, after: 3 })).toEqual([]);
  });

  test("a piece that is there already is ignored", async () => {
    await subject.store.logs.append([aPiece(0)]);
    await subject.store.logs.append([aPiece(0, { data: bytes("other") }), aPiece(1)]);

    expect(await subject.store.logs.read(all)).toEqual([aPiece(0), aPiece(1)]);
  });

  test("a piece twice in one batch is kept once", async () => {
    await subject.store.logs.append([aPiece(0), aPiece(0)]);

    expect(await subject.store.logs.read(all)).toHaveLength(1);
  });

  test("attempts and tasks have logs of their own", async () => {
    await subject.store.logs.append([aPiece(0), aPiece(0, { attempt: 2 }), aPiece(0, { seq: 2 })]);

    expect(await subject.store.logs.read({ ...all, attempt: 2 })).toEqual([aPiece(0, { attempt: 2 })]);
    expect(await subject.store.logs.read({ ...all, seq: 3 })).toEqual([]);
  });

  test("the log of an attempt ends at 1 MiB: the piece that crosses it is cut, and nothing follows", async () => {
    const large = new Uint8Array(700 * 1024).fill(7);
    await subject.store.logs.append([aPiece(0, { data: large })]);
    await subject.store.logs.append([aPiece(1, { data: large }), aPiece(2), aPiece(3)]);
    await subject.store.logs.append([aPiece(4), aPiece(0, { attempt: 2 })]);

    const kept = await subject.store.logs.read(all);

    expect(kept.map((piece) => piece.data.byteLength)).toEqual([700 * 1024, 324 * 1024]);
    expect(await subject.store.logs.read({ ...all, attempt: 2 })).toHaveLength(1);
  });

  test("repeating what is there already does not count again", async () => {
    const half = new Uint8Array(512 * 1024);
    await subject.store.logs.append([aPiece(0, { data: half })]);
    await subject.store.logs.append([aPiece(0, { data: half }), aPiece(1, { data: half })]);

    expect(await subject.store.logs.read(all)).toHaveLength(2);
  });

  test("logs go with their task", async () => {
    const [seq = 0, other = 0] = await subject.insert(aNewTask(), aNewTask());
    await subject.own();
    await subject.store.lanes.write(owner, [aSettle(seq)]);
    await subject.store.logs.append([aPiece(0, { seq }), aPiece(0, { seq: other })]);

    await subject.store.lanes.purge(owner, { endedBefore: subject.now + 1, limit: 10 });

    expect(await subject.store.logs.read({ ...all, seq })).toEqual([]);
    expect(await subject.store.logs.read({ ...all, seq: other })).toHaveLength(1);
  });
}
