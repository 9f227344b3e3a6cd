// A process that uses etcd, or tries to, closes the driver, and must then end by itself.
import { openTestEtcd } from "./test-etcd.fixture.ts";

const [host = "", callDeadlineMs] = process.argv.slice(2);
const etcd = openTestEtcd([host], { callDeadlineMs: Number(callDeadlineMs) });
const { coordinator } = etcd;
coordinator.watch("/", () => undefined);
const used = async () => {
  await coordinator.get("/a");
  const lease = await coordinator.grant(60_000);
  await coordinator.renew(lease);
  await coordinator.revoke(lease);
  return "used";
};
const outcome = await used().catch(() => "not reached");
// Still on its way when it closes.
const last = coordinator.get("/a").catch(() => undefined);
await etcd[Symbol.asyncDispose]();
await last;
console.log(outcome);
