// The row's life against the transition table of core: whatever happens in whatever order, the row is where the table says,
// a final status stays, and an attempt never goes down.
import { isFinal, type LifeEvent, lifeEvents, type Seq, type TaskStatus, taskStatuses, transition } from "@sluice/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { NewTask, TaskWrite } from "../index.ts";
import { aNewTask, aSettle, owner, type Subject } from "./subject.ts";
import { aPark, aRunning } from "./writes.ts";

export function describeLife(subject: Subject): void {
  const pairs = taskStatuses.flatMap((status) => lifeEvents.map((event) => ({ status, event })));
  test("every event in every status leads where the table says, or changes nothing", async () => {
    await subject.own();
    for (const { status, event } of pairs) {
      const life = await Life.begin(subject);
      for (const step of wayTo[status]) await life.meet(step);
      expect(life.status, `the way to ${status}`).toBe(status);
      await life.meet(event);
    }
  });

  test("a random walk stays on the table", async () => {
    await subject.own();
    const step = fc.record({ event: fc.constantFrom(...lifeEvents), isLate: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
        const life = await Life.begin(subject);
        for (const { event, isLate } of steps) await (isLate ? life.meetLate(event) : life.meet(event));
      }),
      { numRuns: 40, seed: 20_261_121 },
    );
  });
}

const wayTo: Readonly<Record<TaskStatus, readonly LifeEvent[]>> = {
  Enqueued: [],
  Running: ["started"],
  Retrying: ["failed_with_retries_left"],
  Stopping: ["started", "stop_requested"],
  Succeeded: ["succeeded"],
  Failed: ["failed_for_good"],
  Stopped: ["stop_requested", "stopped"],
  Expired: ["expired"],
  Invalid: ["invalid"],
};

/** One task, and what the table says of it. */
class Life {
  readonly #subject: Subject;
  readonly #task: NewTask;
  readonly #seq: Seq;
  status: TaskStatus = "Enqueued";
  #attempt = 1;
  #retries = 0;
  #lostAttempts = 0;
  #isParked = false;

  private constructor(subject: Subject, task: NewTask, seq: Seq) {
    this.#subject = subject;
    this.#task = task;
    this.#seq = seq;
  }

  static async begin(subject: Subject): Promise<Life> {
    const task = aNewTask();
    const [seq = 0] = await subject.insert(task);
    return new Life(subject, task, seq);
  }

  /** The event reaches the store, if an owner that keeps to the table would send it; to a final row it always does. */
  async meet(event: LifeEvent): Promise<void> {
    const next = transition(this.status, event);
    if (next === undefined && !isFinal(this.status)) return;
    if (event === "stop_requested") await this.#subject.store.tasks.requestStop(this.#task);
    else if (event === "unparked") await this.#unpark();
    else await this.#write(event, next);
    if (event === "stop_requested") this.status = next ?? this.status;
    await this.#compare(event);
  }

  /** The same event from an attempt that is over, which changes nothing. */
  async meetLate(event: LifeEvent): Promise<void> {
    const write = this.#writeOf(event);
    if (write === undefined) return;
    const nextAttempt = write.kind === "park" ? { nextAttempt: write.nextAttempt + 1 } : {};
    const late: TaskWrite = { ...write, attempt: this.#attempt + 1, ...nextAttempt };
    const tooLate: TaskWrite = { ...write, attempt: this.#attempt - 1 };
    expect(await this.#subject.store.lanes.write(owner, [late, tooLate])).toEqual([false, false]);
    await this.#compare(`late ${event}`);
  }

  async #unpark(): Promise<void> {
    const taken = await this.#subject.store.lanes.unpark(owner, 10, []);
    expect(taken !== "stale" && taken.some((each) => each.seq === this.#seq)).toBe(this.#isParked);
    this.#isParked = false;
  }

  async #write(event: LifeEvent, next: TaskStatus | undefined): Promise<void> {
    const write = this.#writeOf(event);
    if (write === undefined) return;
    const isPossible = next !== undefined && (write.kind === "settle" || !this.#isParked);
    expect(await this.#subject.store.lanes.write(owner, [write]), `${event} in ${this.status}`).toEqual([isPossible]);
    if (!isPossible) return;
    this.status = next;
    this.#isParked = write.kind === "park";
    if (write.kind !== "park") return;
    this.#attempt = write.nextAttempt;
    this.#retries = write.retries;
    this.#lostAttempts = write.lostAttempts;
  }

  #writeOf(event: LifeEvent): TaskWrite | undefined {
    const seq = this.#seq;
    const attempt = this.#attempt;
    const counters = { attempt, nextAttempt: attempt, retries: this.#retries, lostAttempts: this.#lostAttempts };
    const dueAt = this.#subject.now;
    switch (event) {
      case "started":
        return aRunning(seq, { attempt });
      case "succeeded":
        return aSettle(seq, { attempt });
      case "failed_for_good":
      case "lost_too_often":
        return aSettle(seq, { attempt, status: "Failed" });
      case "stopped":
        return aSettle(seq, { attempt, status: "Stopped" });
      case "expired":
        return aSettle(seq, { attempt, status: "Expired" });
      case "invalid":
        return aSettle(seq, { attempt, status: "Invalid" });
      case "failed_with_retries_left":
        return aPark(seq, { ...counters, dueAt, nextAttempt: attempt + 1, retries: this.#retries + 1 });
      case "lost":
        return aPark(seq, { ...counters, dueAt, nextAttempt: attempt + 1, lostAttempts: this.#lostAttempts + 1 });
      case "throttled":
        return aPark(seq, { ...counters, dueAt, status: "Enqueued", reason: "throttle" });
      case "parked":
        return aPark(seq, {
          ...counters,
          dueAt,
          status: this.status === "Retrying" ? "Retrying" : "Enqueued",
          reason: "overflow",
        });
      case "unparked":
      case "stop_requested":
        return undefined;
    }
  }

  async #compare(event: string): Promise<void> {
    const row = await this.#subject.row(this.#seq);
    expect(
      {
        status: row.status,
        attempt: row.attempt,
        retries: row.retries,
        lostAttempts: row.lostAttempts,
        isParked: row.dueAt !== undefined,
        isFinal: row.endedAt !== undefined,
      },
      `after ${event}`,
    ).toEqual({
      status: this.status,
      attempt: this.#attempt,
      retries: this.#retries,
      lostAttempts: this.#lostAttempts,
      isParked: this.#isParked,
      isFinal: isFinal(this.status),
    });
  }
}
