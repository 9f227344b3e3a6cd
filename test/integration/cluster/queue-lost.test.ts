// What JetStream forgets, and what two api-servers are told at once.
import { connect, DuplicateTask } from "@sluice/client";
import { connect as connectNats } from "nats";
import { expect, test } from "vitest";
import { openWorld, unsuccessful, wrongInLedger } from "./world.ts";

test("the whole stream is deleted while 10,000 tasks wait: all run", { retry: 0 }, async () => {
  await using world = await openWorld({ apiServers: 1, schedulers: 1, agents: 1 });
  const { cluster, client } = world;
  const agent = world.part("agent-0");
  await agent.stop();
  const ids = Array.from({ length: 10_000 }, (_, n) => `waits${n}`);
  for await (const result of client.submitMany(ids.map((taskId) => ({ function: "work", taskId, payload: "0" })))) {
    if (!result.ok) throw result.error;
  }
  const nats = await connectNats({
    servers: cluster.backends.filter(({ name }) => name.startsWith("nats")).map(({ address }) => address),
  });
  const streams = await nats.jetstreamManager();
  for await (const { config } of streams.streams.list()) await streams.streams.delete(config.name);
  await nats.close();
  await agent.start();

  expect(await unsuccessful(world, ids, 90_000)).toEqual([]);
  expect(wrongInLedger(world, ids)).toEqual([]);
});

test("two api-servers and 64 clients that submit the same 1,000 ids in different orders: each is accepted once", {
  retry: 0,
}, async () => {
  await using world = await openWorld({ apiServers: 2, schedulers: 1, agents: 1 });
  const ids = Array.from({ length: 1_000 }, (_, n) => `same${n}`);
  const clients = Array.from({ length: 64 }, (_, n) =>
    connect({ ...world.cluster.profile, address: world.cluster.apiAddresses[n % 2] as string }),
  );
  const accepted: string[] = [];
  await Promise.all(
    clients.map(async (client, n) => {
      // 1,000 and 13 have no common divisor: every client has an order of its own.
      const mine = ids.map((_, index) => ids[(index * 13 + n * 17) % ids.length] as string);
      const ordered = n % 4 < 2 ? mine : mine.toReversed();
      for await (const result of client.submitMany(
        ordered.map((taskId) => ({ function: "work", taskId, payload: "0" })),
      )) {
        if (result.ok) accepted.push(result.taskId);
        else if (!(result.error instanceof DuplicateTask)) throw result.error;
      }
    }),
  );
  await Promise.all(clients.map((client) => client.close()));

  expect(accepted.toSorted()).toEqual(ids.toSorted());
  expect(await unsuccessful(world, ids)).toEqual([]);
  expect(wrongInLedger(world, ids)).toEqual([]);
});
