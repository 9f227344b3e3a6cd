// How fast a backlog that has expired drains, on PostgreSQL of its own and on PGlite: the statements of an owner, one after the
// other as its loop makes them, half of the rows waiting and half parked.
//
//   node --import tsx bench/flow/expiry.ts [tasks] [postgres|pglite]
import { cpus } from "node:os";
import { AccountId, FunctionName, TaskId } from "@sluice/core";
import { createLogger, systemClock, systemRandom } from "@sluice/runtime";
import type { Announced, Store } from "@sluice/store";
import { openPglite } from "@sluice/store/pglite";
import { openPostgres } from "@sluice/store/postgres";
import { startPostgres } from "@sluice/testbed";
import Table from "cli-table3";
import { Registry } from "prom-client";
import { usageOf } from "../processes.ts";

const owner = { queue: "q0", prefix: "", epoch: 1 };
const pageMax = 10_000;
const endMax = 5_000;

async function fill(store: Store, count: number): Promise<number> {
  const startedAt = performance.now();
  for (let start = 0; start < count; start += 1_000) {
    const tasks = Array.from({ length: Math.min(1_000, count - start) }, (_, at) => ({
      accountId: AccountId(`account${at % 20}`),
      functionName: FunctionName("noop"),
      taskId: TaskId(`t${start + at}`),
      queue: "q0",
      lane: at % 32,
      priority: 2 as const,
      payload: Buffer.alloc(256, 1),
      delayMs: 0,
      expiresAfterMs: 1,
      submissionToken: "",
      tags: [],
    }));
    await store.tasks.insert(tasks);
  }
  return Math.round(count / ((performance.now() - startedAt) / 1_000));
}

async function drain(store: Store): Promise<number> {
  let after: Announced = { announcedAt: 0, seq: 0 };
  let total = 0;
  for (;;) {
    const found = await store.lanes.expired(owner, { priority: 2, after, limit: pageMax });
    if (found === "stale") throw new Error("nobody else is here");
    for (let start = 0; start < found.seqs.length; start += endMax) {
      const ended = await store.lanes.expire(owner, found.seqs.slice(start, start + endMax), { stampMin: 0 });
      total += ended.length;
    }
    if (found.last === undefined && found.seqs.length === 0) return total;
    after = found.last ?? { announcedAt: 0, seq: 0 };
  }
}

/** `pid`: of the database, whose CPU is counted with that of its children. */
async function measure(name: string, store: Store, count: number, pid: number) {
  const cpu = () => Object.values(usageOf({ database: pid })).reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0);
  await store.lanes.raiseFloor(owner);
  const insertedPerSecond = await fill(store, count);
  const seqs: number[] = [];
  for (let seq = 1; seq <= count; seq += 2) seqs.push(seq);
  for (let start = 0; start < seqs.length; start += endMax) {
    const options = { dueInMs: 3_600_000, announcedUntil: Number.MAX_SAFE_INTEGER };
    await store.lanes.parkOverflow(owner, seqs.slice(start, start + endMax), options);
  }
  const before = { at: performance.now(), cpu: cpu() };
  const total = await drain(store);
  const seconds = (performance.now() - before.at) / 1_000;
  const cpuMicrosPerTask = Math.round(((cpu() - before.cpu) / total) * 1e6);
  return { name, total, insertedPerSecond, expiredPerSecond: Math.round(total / seconds), cpuMicrosPerTask };
}

const count = Number(process.argv[2] ?? 200_000);
const only = process.argv[3];
const kit = { clock: systemClock, random: systemRandom, log: createLogger({ service: "bench", level: "error" }) };
const rows: Awaited<ReturnType<typeof measure>>[] = [];
if (only !== "pglite") {
  await using server = await startPostgres();
  await using store = await openPostgres({ url: server.url, ...kit, registry: new Registry() });
  rows.push(await measure("PostgreSQL", store, count, server.pid ?? 0));
}
if (only !== "postgres") {
  await using store = await openPglite({ dataDir: "memory", inWorker: false });
  rows.push(await measure("PGlite", store, count, process.pid));
}
console.log(
  `${count} expired tasks of 256 bytes, half of them parked; ${cpus().length} cores, Node ${process.version}`,
);
const table = new Table({
  head: ["store", "inserted per s", "expired", "expired per s", "CPU of the database, µs each"],
  style: { head: [], border: [] },
});
for (const row of rows)
  table.push([row.name, row.insertedPerSecond, row.total, row.expiredPerSecond, row.cpuMicrosPerTask]);
console.log(table.toString());
console.log(JSON.stringify({ count, rows }));
