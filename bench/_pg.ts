import { silentLogger, systemClock, systemRandom } from "@sluice/runtime";
import { Registry } from "prom-client";
import { markedStatement } from "../packages/store/src/marked.ts";
import { openPostgresSql } from "../packages/store/src/postgres.ts";
import { statement } from "../packages/store/src/sql.ts";
import { createSqlStore } from "../packages/store/src/sql-store.ts";
import { sweepStatement } from "../packages/store/src/sweep.ts";
import { nextDueStatement, unparkStatement } from "../packages/store/src/unpark.ts";

const { sql } = await openPostgresSql({
  url: "postgres://sluice@127.0.0.1:55731/postgres",
  clock: systemClock,
  random: systemRandom,
  log: silentLogger,
  registry: new Registry(),
});
const store = createSqlStore({ sql });
const q = (t: string) => sql.query<any>(statement("", t));
const [{ n }] = await q("select count(*)::int4 as n from tasks");
const owner = { queue: "q0", prefix: "", epoch: 5 };
async function time(name: string, work: () => Promise<unknown>, times = 3) {
  for (let i = 0; i < times; i++) {
    const c = process.cpuUsage();
    const t = performance.now();
    const r = await work();
    const d = process.cpuUsage(c);
    console.log(
      name,
      (performance.now() - t).toFixed(2),
      "ms; cpu",
      ((d.user + d.system) / 1000).toFixed(1),
      "ms",
      typeof r === "number" ? r : "",
    );
  }
}
const which = process.argv[2] ?? "before";
if (which === "before") {
  await time(
    "full sweep of 1M rows, pages of 1,000",
    async () => {
      let count = 0;
      for (let after = 0; ; ) {
        const rows = (await store.lanes.sweep(owner, { announcedBefore: 1e15, after, limit: 1000 } as any)) as any;
        count += rows.length;
        if (rows.length < 1000) return count;
        after = rows.at(-1).seq;
      }
    },
    1,
  );
  await time(
    "sweep, nothing that old",
    async () => ((await store.lanes.sweep(owner, { announcedBefore: 5, after: 0, limit: 1000 } as any)) as any).length,
  );
}
for (const prefix of ["", "0", "11111", "00011"]) {
  const o = { ...owner, prefix };
  await time(`marked ${prefix}`, async () => ((await store.lanes.marked(o, 1000)) as any).length, 3);
  await time(`nextDue ${prefix}`, async () => await store.lanes.nextDue(o), 3);
  await time(`unpark ${prefix}`, async () => ((await store.lanes.unpark(o, 1000, [])) as any).length, 3);
}
await store[Symbol.asyncDispose]();
