// The database as the time authority, which it is wherever no clock is injected.
import { expect, test } from "vitest";
import { aNewTask, type SqlSubject } from "./subject.ts";

export function describeDatabaseTime(subject: SqlSubject): void {
  test("without an injected clock the database dates the tasks", async () => {
    const task = aNewTask({ delayMs: 60_000 });

    const [outcome] = await subject.storeOfDatabaseTime.tasks.insert([task]);

    const [row] = await subject.sql.query<{ now: number }>({
      name: "",
      text: "select floor(extract(epoch from clock_timestamp()) * 1000)::int8 as now",
    });
    if (outcome?.kind !== "inserted" || row === undefined) throw new Error("unreachable");
    expect(row.now - outcome.enqueuedAt).toBeGreaterThanOrEqual(0);
    expect(row.now - outcome.enqueuedAt).toBeLessThan(60_000);
    expect((await subject.store.tasks.get(task))?.dueAt).toBe(outcome.enqueuedAt + 60_000);
  });

  test("without an injected clock, silence is measured on the database's", async () => {
    const { agents } = subject.storeOfDatabaseTime;
    const agent = await agents.register({
      agentId: "host-1",
      address: "",
      slots: 8,
      version: "",
      registrationId: "r1",
    });

    expect(await agents.markDead(agent, 60_000)).toBe(false);
    expect(await agents.markDead(agent, 0)).toBe(true);
  });
}
