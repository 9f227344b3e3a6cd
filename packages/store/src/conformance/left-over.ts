import { AccountId, type Seq } from "@sluice/core";
import { expect, test } from "vitest";
import type { LeftPage } from "../batch.ts";
import { account, aNewTask, anOperation, aSettle, owner, type Subject } from "./subject.ts";
import { aPark, aRunning } from "./writes.ts";

const other = AccountId("other");
const all = { after: undefined, limit: 100 };

export function describeLeftOver(subject: Subject): void {
  test("it is finished when its lanes are done and nothing is left; a task that moved to a lane that was done opens it", async () => {
    const { control, batches, lanes } = subject.store;
    await subject.own();
    const [seq = 0] = await subject.insert(aNewTask({ lane: 3 }));
    await subject.insert(aNewTask({ lane: 3, accountId: other }));
    subject.passTime(5);
    const operation = await control.start(anOperation());
    await subject.insert(aNewTask({ lane: 3 }));

    expect(await control.finish(operation)).toBe(false);
    expect(await batches.closeLanes(owner, operation)).toBe(true);
    expect((await control.heed()).operations).toMatchObject([{ openLanes: [] }]);
    expect(await control.reopen(operation, all)).toEqual({ left: 1, last: undefined });
    expect((await control.heed()).operations).toMatchObject([{ openLanes: [{ queue: "q", lanes: [3] }] }]);
    expect(await control.finish(operation)).toBe(false);
    await lanes.write(owner, [aSettle(seq, { lane: 3 })]);
    await batches.closeLanes(owner, operation);
    expect(await control.reopen(operation, all)).toEqual({ left: 0, last: undefined });
    expect(await control.finish(operation)).toBe(true);
    expect(await control.operation("op")).toMatchObject({ finishedAt: subject.now, lanesDone: 32, matched: 0 });
  });

  test("what is left is looked for in so many rows at a time, whether they are left or not", async () => {
    const { control, batches } = subject.store;
    await subject.own();
    const filter = { accountId: account, tag: "blue" };
    for (let n = 0; n < 5; n++) await subject.insert(aNewTask({ lane: n, tags: n === 3 ? ["blue"] : [] }));
    subject.passTime(5);
    for (const kind of ["stop", "delete"] as const) {
      const operation = await control.start(anOperation({ operationId: kind, kind, filter }));
      await batches.closeLanes(owner, operation);
      const found: number[] = [];
      for (let after: LeftPage["last"]; ; ) {
        const page = await control.reopen(operation, { after, limit: 2 });
        found.push(page.left);
        if (page.last === undefined) break;
        after = page.last;
      }
      expect(found).toEqual([0, 1, 0]);
    }
    const { operations } = await control.heed();
    const opened = [{ openLanes: [{ queue: "q", lanes: [3] }] }];
    expect(operations).toMatchObject([...opened, ...opened]);
  });

  test("a row that changes its lane and its status between two pages is seen", async () => {
    const { control, lanes } = subject.store;
    await subject.own();
    const seqs: Seq[] = [];
    for (let n = 0; n < 4; n++) {
      seqs.push(...(await subject.insert(aNewTask())));
      subject.passTime(1);
    }
    const [, retries = 0, starts = 0, moves = 0] = seqs;
    await lanes.write(owner, [aRunning(retries), aPark(starts, { dueAt: subject.now })]);
    await lanes.unpark(owner, 10, []);
    const operation = await control.start(anOperation());
    const left: number[] = [];
    const page = async (after: LeftPage["last"]) => {
      const { left: count, last } = await control.reopen(operation, { after, limit: 1 });
      left.push(count);
      return last;
    };

    const first = await page(undefined);
    await lanes.write(owner, [
      aPark(retries),
      aRunning(starts, { attempt: 2 }),
      aPark(moves, { reason: "overflow", moveTo: { queue: "r", lane: 5 } }),
    ]);
    expect((await subject.row(retries)).status).toBe("Retrying");
    expect((await subject.row(starts)).status).toBe("Running");
    const third = await page(await page(first));
    expect(await page(await page(third))).toBeUndefined();
    expect(left).toEqual([1, 1, 1, 1, 0]);
    expect((await control.heed()).operations).toMatchObject([{ openLanes: [{ queue: "q" }, { queue: "r" }] }]);
  });

  test("it is not finished while a task is marked for it, whatever its status and in whatever lane; that is opened again", async () => {
    const { control, batches } = subject.store;
    await subject.own();
    const [seq = 0] = await subject.insert(aNewTask({ lane: 4 }));
    subject.passTime(1);
    const operation = await control.start(anOperation({ filter: { accountId: account, status: "Enqueued" } }));
    await batches.closeLanes(owner, operation);
    // By an owner that did not know yet that its lanes were done.
    await batches.mark(owner, operation, [seq], [operation.number]);

    expect(await control.reopen(operation, all)).toEqual({ left: 0, last: undefined });
    expect(await control.finish(operation)).toBe(false);
    expect((await control.heed()).operations).toMatchObject([{ openLanes: [{ queue: "q", lanes: [4] }] }]);
  });

  test("lanes of an operation that has ended stay done", async () => {
    const { control, batches } = subject.store;
    await subject.own();
    const [seq = 0] = await subject.insert(aNewTask({ lane: 4 }));
    subject.passTime(1);
    const operation = await control.start(anOperation());
    await batches.closeLanes(owner, operation);
    await batches.mark(owner, operation, [seq], [operation.number]);
    const cancelled = await control.cancel("op");

    expect(await control.reopen(operation, all)).toMatchObject({ left: 1 });
    expect(await control.finish(operation)).toBe(false);
    expect(await control.operation("op")).toEqual(cancelled);
  });
}
