// kill -9 of any one process of a cluster, under load: no accepted task is lost, none runs twice, and everything finishes.
import { eventually } from "@sluice/core/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ledgerNow } from "./ledger.ts";
import { startLoad } from "./load.ts";
import { openWorld, unsuccessful, type World, wrongInLedger } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await openWorld({ apiServers: 2, schedulers: 2, agents: 2 });
});
afterAll(() => world[Symbol.asyncDispose]());

test.each(["api-server-0", "scheduler-0", "scheduler-1", "agent-0", "etcd", "nats-0", "postgres"])(
  "after kill -9 and a restart of %s under load everything that was accepted has run once",
  async (name) => {
    const load = startLoad(world.client, {
      prefix: `${name}-`,
      atOnce: 16,
      // Most are short; some are running whenever the process dies.
      runsMs: (n) => (n % 10 === 0 ? 2_000 : 20),
      pauseMs: 20,
    });
    await eventually(() => load.accepted.length > 100);
    await eventually(() => world.ledger.executions().some(({ hasEnded }) => !hasEnded));
    const part = world.part(name);
    const diedAt = ledgerNow();
    await part.stop("SIGKILL");
    const acceptedBefore = load.accepted.length;
    await part.start();
    await eventually(() => load.accepted.length > acceptedBefore + 100, { timeoutMs: 60_000 });
    await load.stop();

    expect(await unsuccessful(world, load.accepted, 90_000)).toEqual([]);
    expect(wrongInLedger(world, load.accepted, name.startsWith("agent-") ? diedAt : undefined)).toEqual([]);
  },
);
