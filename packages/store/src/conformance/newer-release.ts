// What a newer release may have written, which an older one finds when an upgrade is taken back.
import { expect, test } from "vitest";
import { aNewTask, owner, type SqlSubject } from "./subject.ts";

export function describeNewerRelease(subject: SqlSubject): void {
  test("a status of a newer release is unknown to the owner, and an error to users that may be gone when they ask again", async () => {
    await subject.own();
    const task = aNewTask();
    const [seq = 0] = await subject.insert(task);
    await subject.sql.exec(`update tasks set status = 9, stop_requested = true where seq = ${seq}`);

    expect(await subject.row(seq)).toMatchObject({ status: "Unknown", endedAt: undefined });
    expect(await subject.store.lanes.marked(owner, 10)).toMatchObject([{ status: "Unknown" }]);
    const reading = subject.store.tasks.get(task);
    await expect(reading).rejects.toMatchObject({ code: "unavailable", reason: "STATUS_TOO_NEW" });
  });
}
