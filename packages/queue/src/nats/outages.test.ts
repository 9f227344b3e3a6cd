// What the driver does when its server is killed, stopped, frozen, restored, or not there yet.
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { never, partition, pullAll, seqsOf } from "../conformance/world.ts";
import { streamName } from "./subjects.ts";
import { blocksOf, numbers, pullNumbers, useOneServer } from "./testing/one-server.ts";
import { openMeddler, untilUp } from "./testing/world.ts";

const { folder, server, openDriver, upDriver } = useOneServer("queue-outages");

test("a server is killed while blocks are held: all that is not acked is delivered again at once, and nothing stays behind", async () => {
  await using driver = await upDriver();
  const consumer = await driver.queue.open(partition());
  await driver.queue.publish(blocksOf(numbers(1, 300)));
  const held = await pullAll(consumer, 200);
  await consumer.ack(held.slice(0, 150));

  await server().stop("SIGKILL");
  await eventually(() => !driver.health.isUp);
  await server().start();

  // Some of the acked ones come again: the server had not written down that they were.
  const expected = new Set(numbers(151, 150));
  while (expected.size > 0) {
    const deliveries = await consumer.pull(64, never());
    for (const seq of seqsOf(deliveries)) expected.delete(seq);
    await consumer.ack(deliveries);
  }
  await using meddler = await openMeddler(server());
  await eventually(async () => {
    const aborted = new AbortController();
    const rest = consumer.pull(64, aborted.signal);
    aborted.abort();
    await consumer.ack(await rest);
    return (await meddler.stored()) === 0;
  });
});

test("a server is stopped and back: pulls wait, publishing is refused at once, and both go on", async () => {
  await using driver = await upDriver();
  const consumer = await driver.queue.open(partition());
  const pulled = consumer.pull(1, never());
  await server().stop();
  await eventually(() => !driver.health.isUp);

  const refused = expect(driver.queue.publish(blocksOf([1]))).rejects.toMatchObject({
    code: "unavailable",
    reason: "QUEUE_UNAVAILABLE",
  });
  await refused;
  await expect(driver.queue.open(partition("0"))).rejects.toMatchObject({ reason: "QUEUE_UNAVAILABLE" });
  await expect(consumer.caughtUpTo()).rejects.toMatchObject({ reason: "QUEUE_UNAVAILABLE" });
  expect(await driver.count("publish_failures_total", { cause: "away" })).toBe(1);
  await server().start();
  await untilUp(driver);
  await driver.queue.publish(blocksOf([2]));

  expect(seqsOf(await pulled)).toEqual([2]);
  expect(await driver.count("reconnects_total")).toBe(1);
  expect(await driver.count("up_state")).toBe(1);
});

test("what was refused while the server was away is not sent later", async () => {
  await using driver = await upDriver();
  for (let restart = 0; restart < 2; restart++) {
    const stopping = server().stop();
    let refusals = 0;
    for (let seq = 1; refusals < 50; seq++) await driver.queue.publish(blocksOf([seq])).catch(() => refusals++);
    await stopping;
    await server().start();
    await untilUp(driver);
  }
  await driver.queue.publish(blocksOf([7]));
  await using meddler = await openMeddler(server());
  const published = await driver.count("published_blocks_total");
  // Each time, one may have been stored although its acknowledgement went down with the server.
  expect((await meddler.stored()) - published).toBeLessThanOrEqual(2);
});

test("a server freezes: a publish is refused within its deadline, the driver is down, and all goes on after it thaws", async () => {
  await using driver = await upDriver();
  const consumer = await driver.queue.open(partition());
  const pulled = consumer.pull(1, never());
  server().kill("SIGSTOP");
  try {
    const publishing = () => driver.queue.publish(blocksOf([1]));
    // The first ones may be faster than the signal.
    const failure = await eventually(() => publishing().catch((error: unknown) => error));
    expect(failure).toMatchObject({ code: "timeout", reason: "QUEUE_UNAVAILABLE" });
    await eventually(() => !driver.health.isUp, { timeoutMs: 60_000 });
  } finally {
    server().kill("SIGCONT");
  }
  await untilUp(driver);
  await driver.queue.publish(blocksOf([2]));

  const seen = seqsOf(await pulled);
  while (!seen.includes(2)) seen.push(...(await pullNumbers(consumer, 1)));
  expect(await driver.count("publish_failures_total", { cause: "late" })).toBe(1);
});

test("a stream is restored from an older copy: what is published afterwards is delivered at once", async () => {
  const messages = join(folder.path, "nats-0", "data", "jetstream", "$G", "streams", streamName, "msgs");
  const copy = join(folder.path, "copy");
  await using driver = await upDriver();
  const consumer = await driver.queue.open(partition());
  await driver.queue.publish(blocksOf(numbers(1, 20)));
  await consumer.ack(await pullAll(consumer, 10));
  await server().stop();
  cpSync(messages, copy, { recursive: true });
  await server().start();
  await untilUp(driver);
  await driver.queue.publish(blocksOf(numbers(21, 30)));
  const seen = new Set<number>();
  while (seen.size < 40) for (const seq of await pullNumbers(consumer, 1)) seen.add(seq);

  await server().stop();
  rmSync(messages, { recursive: true });
  cpSync(copy, messages, { recursive: true });
  await server().start();
  await untilUp(driver);
  await driver.queue.publish(blocksOf(numbers(1_001, 5)));

  const missing = new Set(numbers(1_001, 5));
  while (missing.size > 0) for (const seq of await pullNumbers(consumer, 1)) missing.delete(seq);
});

test("a server is not there yet: the driver is open, down, and comes up with it", async () => {
  await server().stop();
  await using driver = openDriver();
  await expect(driver.queue.publish(blocksOf([1]))).rejects.toMatchObject({ reason: "QUEUE_UNAVAILABLE" });
  expect(driver.health.isUp).toBe(false);
  await server().start();
  await untilUp(driver);
  await driver.queue.publish(blocksOf([1]));
  expect(await driver.count("reconnects_total")).toBe(0);
});

test("a driver that is closed while its server is away lets go", async () => {
  await server().stop();
  const driver = openDriver();
  await driver[Symbol.asyncDispose]();
  await expect(driver.queue.publish(blocksOf([1]))).rejects.toMatchObject({ reason: "QUEUE_UNAVAILABLE" });
  await server().start();
});
