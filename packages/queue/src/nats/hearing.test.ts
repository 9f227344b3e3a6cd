import { aFlow } from "@sluice/core/testing";
import { startNats } from "@sluice/testbed";
import { expect, test } from "vitest";
import type { Block } from "../index.ts";
import { openWorld } from "./testing/world.ts";

test("who hears a partition is told of its blocks when they are published, also after a restart of the server", async () => {
  const [server] = await startNats();
  if (server === undefined) throw new Error("no server was started");
  await using _server = server;
  await using world = await openWorld(server);
  const block = (parts: Partial<Block>): Block => {
    const { accountId, functionName } = aFlow();
    return { accountId, functionName, queue: "q0", lane: 0, priority: 2, seqs: [1], enqueuedAt: 5, ...parts };
  };
  const heard: Block[] = [];
  const stop = world.queue.hear?.({ queue: "q0", prefix: "0" }, (each) => heard.push(each));
  await world.queue.publish([block({}), block({ lane: 31 }), block({ priority: 0, lane: 1 }), block({ queue: "q1" })]);
  await expect.poll(() => heard.length, { timeout: 5_000 }).toBe(2);
  expect(heard.toSorted((a, b) => a.lane - b.lane)).toEqual([block({}), block({ priority: 0, lane: 1 })]);

  await server.stop();
  await server.start();
  await expect
    .poll(
      () =>
        world.queue.publish([block({ seqs: [2] })]).then(
          () => true,
          () => false,
        ),
      { timeout: 20_000 },
    )
    .toBe(true);
  await expect.poll(() => heard.length, { timeout: 5_000 }).toBe(3);

  stop?.();
  await world.queue.publish([block({ seqs: [3] })]);
  const consumer = await world.queue.open({ queue: "q0", prefix: "", epoch: 1, priority: 2 });
  expect(await consumer.pull(1, new AbortController().signal)).toHaveLength(1);
  expect(heard).toHaveLength(3);
});
