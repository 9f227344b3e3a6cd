// The meaning of the store's contract, as tests that every database behind it must pass.
import { afterAll, beforeAll, beforeEach, describe } from "vitest";
import { describeAccounts } from "./conformance/accounts.ts";
import { describeAgents } from "./conformance/agents.ts";
import { describeBatch } from "./conformance/batch.ts";
import { describeConcurrency } from "./conformance/concurrency.ts";
import { describeDatabaseTime } from "./conformance/database-time.ts";
import { describeExpiry } from "./conformance/expiry.ts";
import { describeFloors } from "./conformance/floors.ts";
import { describeFunctions } from "./conformance/functions.ts";
import { describeInsert } from "./conformance/insert.ts";
import { describeLife } from "./conformance/life.ts";
import { describeList } from "./conformance/list.ts";
import { describeLogs } from "./conformance/logs.ts";
import { describeMoving } from "./conformance/moving.ts";
import { describeNewerRelease } from "./conformance/newer-release.ts";
import { describeOverflow } from "./conformance/overflow.ts";
import { describeParking } from "./conformance/parking.ts";
import { describePlans } from "./conformance/plans.ts";
import { describeRepair } from "./conformance/repair.ts";
import { SqlSubject, type StoreDatabase, Subject } from "./conformance/subject.ts";
import { describeTasks } from "./conformance/tasks.ts";
import { describeWrites } from "./conformance/writes.ts";
import type { SqlConnection } from "./sql.ts";

export type { StoreDatabase } from "./conformance/subject.ts";

export interface ConformanceOptions {
  /** How many statements the database works on at once. With one, the tests of concurrency only interleave. */
  readonly connections: number;
}

/** `open`: an empty database, once for all tests. */
export function describeStore(name: string, open: () => Promise<StoreDatabase>, options: ConformanceOptions): void {
  describe(`store on ${name}`, () => {
    const subject = new Subject(openedFor(open));
    beforeEach(() => subject.reset());
    describeContract(subject, options);
  });
}

/** The contract, and what only SQL has: a clock of its own, rows of newer releases, and plans. `open`: a migrated, empty database. */
export function describeSqlStore(name: string, open: () => Promise<SqlConnection>, options: ConformanceOptions): void {
  describe(`store on ${name}`, () => {
    const subject = new SqlSubject(openedFor(open));
    beforeEach(() => subject.reset());
    describeContract(subject, options);
    describe("database time", () => describeDatabaseTime(subject));
    describe("a newer release", () => describeNewerRelease(subject));
    describe("plans", () => describePlans(subject));
  });
}

function describeContract(subject: Subject, options: ConformanceOptions): void {
  describe("insert", () => describeInsert(subject));
  describe("tasks", () => describeTasks(subject));
  describe("floors", () => describeFloors(subject));
  describe("writes", () => describeWrites(subject));
  describe("parking", () => describeParking(subject));
  describe("moving", () => describeMoving(subject));
  describe("overflow", () => describeOverflow(subject));
  describe("expiry", () => describeExpiry(subject));
  describe("repair", () => describeRepair(subject));
  describe("a task's life", () => describeLife(subject));
  describe("list", () => describeList(subject));
  describe("batch control", () => describeBatch(subject));
  describe("functions", () => describeFunctions(subject));
  describe("accounts", () => describeAccounts(subject));
  describe("agents", () => describeAgents(subject));
  describe("logs", () => describeLogs(subject));
  describe("concurrency", { retry: 0 }, () => describeConcurrency(subject, options));
}

/** Opens before the tests of the block and closes after them. */
function openedFor<Opened extends AsyncDisposable>(open: () => Promise<Opened>): () => Opened {
  let opened: Opened | undefined;
  beforeAll(async () => {
    opened = await open();
  });
  afterAll(() => opened?.[Symbol.asyncDispose]());
  return () => {
    if (opened === undefined) throw new Error("the database is not open");
    return opened;
  };
}
