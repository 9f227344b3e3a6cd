// A queue in which a million tasks wait.
import { readFileSync } from "node:fs";
import { eventually } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { openWorld } from "./world.ts";

const waiting = 1_000_000;
const rssMaxMb = 400;

test("a scheduler whose queue has 1,000,000 waiting tasks stays under 400 MB, also while it works them off", async () => {
  await using world = await openWorld({ apiServers: 1, schedulers: 1, agents: 1 });
  const { client } = world;
  const scheduler = world.cluster.service("scheduler-0");
  const agent = world.cluster.service("agent-0");
  await agent.stop();
  function* submissions() {
    for (let n = 0; n < waiting; n++) yield { function: "work", taskId: `waits${n}`, payload: "0" };
  }
  for await (const result of client.submitMany(submissions())) if (!result.ok) throw result.error;
  // The look-ahead is full once the scheduler has stopped to take more.
  let held = -1;
  await eventually(
    async () => {
      const before = held;
      held = await waitingIn(scheduler.httpAddress);
      return held > 0 && held === before;
    },
    { timeoutMs: 60_000, everyMs: 1_000 },
  );
  const rssWaiting = rssMb(scheduler.pid);
  await agent.start();
  await eventually(() => world.ledger.executions().length > 5_000, { timeoutMs: 60_000 });

  expect(rssWaiting).toBeLessThan(rssMaxMb);
  expect(rssMb(scheduler.pid)).toBeLessThan(rssMaxMb);
}, 600_000);

/** Numbers that the scheduler has in memory. */
async function waitingIn(httpAddress: string): Promise<number> {
  const metrics = await (await fetch(`http://${httpAddress}/metrics`)).text();
  return Number(/^sluice_scheduler_tasks_in_memory\S* (\d+)/m.exec(metrics)?.[1] ?? 0);
}

function rssMb(pid: number | undefined): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
}
