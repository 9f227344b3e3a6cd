import { eventually } from "@sluice/core/testing";
import { startNats } from "@sluice/testbed";
import { afterAll, beforeAll, expect, test } from "vitest";
import { aBlock, never, partition, seqsOf } from "../conformance/world.ts";
import type { Consumer } from "../index.ts";
import { streamName } from "./subjects.ts";
import { openDriver, openMeddler, untilUp } from "./testing/world.ts";

let servers: Awaited<ReturnType<typeof startNats>> = [];
beforeAll(async () => {
  servers = await startNats({ servers: 3 });
});
afterAll(async () => {
  await Promise.all(servers.map((each) => each[Symbol.asyncDispose]()));
});

/** Acks all that comes until every number was there. */
async function drain(consumer: Consumer, missing: Set<number>): Promise<void> {
  while (missing.size > 0) {
    const deliveries = await consumer.pull(64, never());
    for (const seq of seqsOf(deliveries)) missing.delete(seq);
    await consumer.ack(deliveries).catch(() => undefined);
  }
}

test("a cluster of three loses its leader: what was stored is delivered, and publishing goes on", async () => {
  await using driver = openDriver(servers, { replicas: 3, ackWaitMs: 5_000 });
  await untilUp(driver);
  const consumer = await driver.queue.open(partition("", 1));
  const seqs = Array.from({ length: 200 }, (_, index) => index + 1);
  await driver.queue.publish(seqs.map((seq) => aBlock({ lane: seq % 32, seqs: [seq] })));
  const missing = new Set(seqs);
  const first = await consumer.pull(50, never());
  for (const seq of seqsOf(first)) missing.delete(seq);
  await consumer.ack(first);

  const [someone] = servers;
  if (someone === undefined) throw new Error("no server was started");
  const leader = await (async () => {
    await using meddler = await openMeddler(someone);
    return (await meddler.manager.streams.info(streamName)).cluster?.leader;
  })();
  const victim = servers.find(({ name }) => name === leader);
  expect(victim).toBeDefined();
  await victim?.stop("SIGKILL");

  await drain(consumer, missing);
  await eventually(() => driver.queue.publish([aBlock({ seqs: [1_000] })]).then(() => true), { timeoutMs: 60_000 });
  await drain(consumer, new Set([1_000]));

  const successor = await eventually(() => driver.queue.open(partition("0", 2)), { timeoutMs: 60_000 });
  await victim?.start();
  await driver.queue.publish([aBlock({ lane: 3, seqs: [2_000] })]);
  await drain(successor, new Set([2_000]));
});
