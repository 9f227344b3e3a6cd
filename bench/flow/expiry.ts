// How fast a backlog drains of which every task expires at the same moment: one scheduler that owns everything, the queue in
// memory, no agent, with PostgreSQL of its own and with PGlite. From that moment to the last `Expired`.
//
//   node --import tsx bench/flow/expiry.ts [tasks] [postgres|pglite]
import { cpus } from "node:os";
import { systemClock } from "@sluice/runtime";
import type { Store } from "@sluice/store";
import { openPglite } from "@sluice/store/pglite";
import { openPostgres } from "@sluice/store/postgres";
import { startPostgres } from "@sluice/testbed";
import Table from "cli-table3";
import { kit, startOneScheduler } from "../one-scheduler.ts";

/** They are submitted within this, however slow the store is; an aborted run says so. */
const submitMsEach = 0.25;

async function measure(name: string, store: Store, count: number) {
  await using scheduler = await startOneScheduler(store);
  const expireAt = Date.now() + 5_000 + submitMsEach * count;
  const insertedPerSecond = await scheduler.submit("t", count, () => Math.max(1, expireAt - Date.now()));
  if (Date.now() > expireAt) throw new Error(`${name}: the first expired before the last was submitted; take fewer`);
  await systemClock.sleep(expireAt - Date.now());
  const cpu = process.cpuUsage();
  while ((await scheduler.settled("Expired")) < count) await systemClock.sleep(50);
  const seconds = (Date.now() - expireAt) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  const expiredPerSecond = Math.round(count / seconds);
  return { name, insertedPerSecond, seconds, expiredPerSecond, cpuMicrosPerTask: Math.round((user + system) / count) };
}

const count = Number(process.argv[2] ?? 200_000);
const only = process.argv[3];
const rows: Awaited<ReturnType<typeof measure>>[] = [];
if (only !== "pglite") {
  await using server = await startPostgres();
  await using store = await openPostgres({ url: server.url, ...kit });
  rows.push(await measure("PostgreSQL", store, count));
}
if (only !== "postgres") {
  await using store = await openPglite({ dataDir: "memory", inWorker: false });
  rows.push(await measure("PGlite, in the same process", store, count));
}
console.log(`${count} tasks of 256 bytes that expire together; ${cpus().length} cores, Node ${process.version}`);
const table = new Table({
  head: ["store", "inserted per s", "all expired after, s", "expired per s", "CPU of the process, µs each"],
  style: { head: [], border: [] },
});
for (const row of rows)
  table.push([row.name, row.insertedPerSecond, row.seconds, row.expiredPerSecond, row.cpuMicrosPerTask]);
console.log(table.toString());
console.log(JSON.stringify({ count, rows }));
