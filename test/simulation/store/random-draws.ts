// What random calls are made of: owners that own or did, rows that exist or did, and texts that are hard to keep.
import {
  AccountId,
  type Flow,
  FunctionName,
  type OwnedPartition,
  priorities,
  type Seq,
  TaskId,
  taskStatuses,
} from "@sluice/core";
import type { OperationRecord, TaskFilter, TaskSelection } from "@sluice/store";
import type { Dice } from "../dice.ts";
import type { Tables } from "./tables.ts";

export const accounts = ["red", "green"].map((id) => AccountId(id));
export const names = ["alpha", "beta", "beta-2"].map((name) => FunctionName(name));
export const queues = ["q0", "q1"] as const;
const prefixes = ["", "0", "1", "01", "10", "111", "00000"] as const;
export const tags = ["blue", "käse", 'a "quoted" \\ one', "{comma,}", "null"] as const;

export class Draws {
  readonly dice: Dice;
  /** What the calls so far have led to. */
  readonly tables: Tables;
  readonly now: () => number;
  readonly #owners: OwnedPartition[] = queues.map((queue) => ({ queue, prefix: "", epoch: 1 }));
  #epoch = 1;
  /** The highest number of a row when this call began. */
  lastSeq = 0;

  constructor(dice: Dice, tables: Tables, now: () => number) {
    this.dice = dice;
    this.tables = tables;
    this.now = now;
  }

  /** Of the next call. */
  begin(): void {
    this.lastSeq = Math.max(1, ...[...this.tables.rows.all()].slice(-1).map(({ seq }) => seq));
  }

  /** One that owns or did. */
  owner(): OwnedPartition {
    return this.dice.pick(this.dice.chance(0.9) ? this.#owners.slice(-4) : this.#owners);
  }

  /** Mostly with the highest epoch ever. */
  claim(): OwnedPartition {
    const { dice } = this;
    const epoch = dice.chance(0.8) ? ++this.#epoch : dice.between(1, this.#epoch);
    const owner = { queue: dice.pick(queues), prefix: dice.pick(prefixes), epoch };
    if (epoch === this.#epoch) this.#owners.push(owner);
    return owner;
  }

  /** Recent ones more often. */
  seq(): Seq {
    const last = this.lastSeq;
    return this.dice.between(Math.max(1, last - this.dice.pick([5, 40, last])), last + 1);
  }

  /** Where a walk goes on: behind a row; mostly from the start. */
  place(): { readonly enqueuedAt: number; readonly seq: Seq } | undefined {
    const row = this.tables.rows.bySeq(this.seq());
    return row && this.dice.chance(0.3) ? { enqueuedAt: row.enqueuedAt, seq: row.seq } : undefined;
  }

  /** Of a task that is there, or was, or never will be. */
  key() {
    const { dice } = this;
    const { accountId, functionName, taskId } = this.tables.rows.bySeq(this.seq()) ?? {};
    return {
      accountId: accountId ?? dice.pick(accounts),
      functionName: functionName ?? dice.pick(names),
      taskId: taskId ?? TaskId("nobody"),
    };
  }

  /** A flow of which rows are parked by overflow, if there is one. */
  overflown({ queue }: OwnedPartition): Flow {
    const rows = [...this.tables.rows.open(queue)].filter(({ parkReason }) => parkReason === "overflow");
    const { accountId, functionName } = rows.at(-1) ?? this.key();
    return { accountId, functionName };
  }

  filter(): TaskFilter {
    const { dice } = this;
    const key = this.key();
    const last = this.tables.rows.bySeq(this.seq());
    return {
      accountId: key.accountId,
      order: dice.pick(["newest", "oldest"]),
      limit: dice.pick([0, 3, 1_000]),
      includePayload: dice.chance(0.5),
      ...(dice.chance(0.4) && { functionName: key.functionName }),
      ...(dice.chance(0.4) && { status: dice.pick(taskStatuses) }),
      ...(dice.chance(0.2) && { enqueuedFrom: this.now() - dice.between(0, 10_000) }),
      ...(dice.chance(0.2) && { enqueuedUntil: this.now() - dice.between(0, 10_000) }),
      ...(dice.chance(0.2) && { taskIdPrefix: key.taskId.slice(0, 2) }),
      ...(dice.chance(0.1) && { priority: dice.pick(priorities) }),
      ...(dice.chance(0.1) && { tag: dice.pick(tags) }),
      ...(last && dice.chance(0.2) && { after: { enqueuedAt: last.enqueuedAt, seq: last.seq } }),
    };
  }

  selection(): TaskSelection {
    const { accountId, functionName, status, enqueuedFrom, enqueuedUntil, taskIdPrefix, priority, tag } = this.filter();
    return {
      accountId,
      ...(functionName !== undefined && { functionName }),
      ...(status !== undefined && { status }),
      ...(enqueuedFrom !== undefined && { enqueuedFrom }),
      ...(enqueuedUntil !== undefined && { enqueuedUntil }),
      ...(taskIdPrefix !== undefined && { taskIdPrefix }),
      ...(priority !== undefined && { priority }),
      ...(tag !== undefined && { tag }),
    };
  }

  /** One that was started; or one of which nobody knows. */
  operation(): OperationRecord {
    const known = [...this.tables.operations.values()];
    if (known.length > 0) return this.dice.pick(known);
    const ends = { cancelledAt: undefined, finishedAt: undefined };
    const started = {
      operationId: "none",
      kind: "stop",
      createdBy: accounts[0] as AccountId,
      createdAt: this.now(),
    } as const;
    return { ...started, ...ends, number: 99, filter: { accountId: accounts[0] as AccountId } };
  }

  limits() {
    const { dice } = this;
    return dice.pick([{ concurrencyMax: dice.between(0, 1) }, { rateMax: dice.pick([0, 0.5]) }, { weight: 2 }]);
  }

  bytes(): Uint8Array {
    return Uint8Array.from({ length: this.dice.between(0, 8) }, () => this.dice.between(0, 255));
  }

  some<T>(max: number, one: () => T): T[] {
    return Array.from({ length: this.dice.between(0, max) }, one);
  }
}
