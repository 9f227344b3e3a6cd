// What the driver does when streams and consumers are taken away from it, and what owners do to each other.
import { eventually } from "@sluice/core/testing";
import { systemClock } from "@sluice/runtime";
import { describe, expect, test } from "vitest";
import { aBlock, never, partition, pullAll, seqsOf } from "../conformance/world.ts";
import { deletionMs } from "./stream.ts";
import { consumerName, streamName } from "./subjects.ts";
import { blocksOf, numbers, pullNumbers, useOneServer } from "./testing/one-server.ts";
import { openMeddler } from "./testing/world.ts";

const { server, upDriver } = useOneServer("queue-streams");

describe("a stream or consumer that goes", () => {
  test("the stream, while a pull waits: publishers and owners make both anew", async () => {
    await using driver = await upDriver();
    await using meddler = await openMeddler(server());
    const consumer = await driver.queue.open(partition());
    await driver.queue.publish(blocksOf(numbers(1, 50)));
    const held = await pullAll(consumer, 50);
    const pulled = consumer.pull(1, never());
    const deletedFrom = performance.now();
    await meddler.deleteStream();

    await driver.queue.publish(blocksOf([77]));
    // Only then: the server is still removing the files of the old one, and would take those of the new one with them.
    expect(performance.now() - deletedFrom).toBeGreaterThanOrEqual(deletionMs);

    expect(seqsOf(await pulled)).toEqual([77]);
    // Their positions in the stream belong to other blocks now.
    await driver.queue.publish(blocksOf(numbers(100, 49)));
    await consumer.ack(held);
    await consumer.renew(held);
    expect(await meddler.stored()).toBe(50);
    expect(await pullNumbers(consumer, 49)).toEqual(numbers(100, 49));
    expect(await driver.count("recreated_streams_total")).toBe(2);
  });

  test("the stream, while nobody publishes or pulls: it is back within seconds", async () => {
    await using driver = await upDriver();
    await using meddler = await openMeddler(server());
    await meddler.deleteStream();
    await eventually(async () => (await meddler.stored()) === 0);
    await eventually(async () => (await driver.count("recreated_streams_total")) === 2);
  });

  test("a stream that somebody configured otherwise is corrected; its caps are left alone", async () => {
    await using meddler = await openMeddler(server());
    await using driver = await upDriver();
    const { config } = await meddler.manager.streams.info(streamName);
    await meddler.manager.streams.update(streamName, { ...config, subjects: ["t.q0.>"], max_msgs: 17 });
    await using _other = await upDriver();
    const corrected = (await meddler.manager.streams.info(streamName)).config;
    expect([corrected.subjects, corrected.max_msgs]).toEqual([["t.>"], 17]);
    expect(driver.health.isUp).toBe(true);
  });

  test("the consumer, deleted by hand: it is made anew, and what it held is delivered again", async () => {
    await using driver = await upDriver();
    await using meddler = await openMeddler(server());
    const consumer = await driver.queue.open(partition());
    await driver.queue.publish(blocksOf([1, 2]));
    await consumer.ack((await pullAll(consumer, 2)).slice(0, 1));
    const pulled = consumer.pull(1, never());
    await meddler.manager.consumers.delete(streamName, consumerName(partition()));

    expect(seqsOf(await pulled)).toEqual([2]);
    expect(await driver.count("recreated_consumers_total", { cause: "missing" })).toBe(1);
  });

  test("the consumer, while nobody pulls: asking how far it is makes it anew", async () => {
    await using driver = await upDriver();
    await using meddler = await openMeddler(server());
    const consumer = await driver.queue.open(partition());
    await meddler.manager.consumers.delete(streamName, consumerName(partition()));
    await expect(consumer.caughtUpTo()).rejects.toMatchObject({ reason: "QUEUE_UNAVAILABLE" });
    expect(await consumer.caughtUpTo()).toBe(Number.POSITIVE_INFINITY);
    await driver.queue.publish(blocksOf([1]));
    expect(await pullNumbers(consumer, 1)).toEqual([1]);
  });

  test("the consumer of an owner in another process, by its successor: the old owner is told", async () => {
    await using old = await upDriver();
    await using next = await upDriver();
    const consumer = await old.queue.open(partition("0", 7));
    const idle = await old.queue.open(partition("1", 8));
    const refused = expect(consumer.pull(1, never())).rejects.toMatchObject({ code: "stale", reason: "STALE_EPOCH" });

    await next.queue.open(partition("", 9));

    await refused;
    await expect(idle.caughtUpTo()).rejects.toMatchObject({ reason: "STALE_EPOCH" });
    await expect(idle.pull(1, never())).rejects.toMatchObject({ reason: "STALE_EPOCH" });
    await expect(old.queue.open(partition("01", 8))).rejects.toMatchObject({ reason: "STALE_EPOCH" });
  });

  test("what a crash has left of a queue that nobody has any more: its consumers and blocks go, and no others", async () => {
    await using driver = await upDriver();
    await using meddler = await openMeddler(server());
    const namesNow = async () => (await meddler.manager.consumers.list(streamName).next()).map(({ name }) => name);
    const kept = await driver.queue.open({ ...partition("", 7), queue: "kept" });
    await using crashed = await upDriver();
    await crashed.queue.open({ ...partition("", 7), queue: "gone" });
    await crashed.queue.publish([aBlock({ queue: "gone", seqs: [9] })]);
    await crashed.queue[Symbol.asyncDispose]();
    const queuesOf = (names: readonly string[]) => names.map((name) => name.split("-")[0]);
    expect(queuesOf(await namesNow())).toEqual(expect.arrayContaining(["gone", "kept"]));

    await driver.queue.publish([aBlock({ queue: "kept", seqs: [1] })]);
    await driver.queue.retire?.((queue) => queue === "gone");

    expect(queuesOf(await namesNow())).not.toContain("gone");
    expect(await pullNumbers(kept, 1)).toEqual([1]);
    const again = await driver.queue.open({ ...partition("", 8), queue: "gone" });
    expect(await again.caughtUpTo()).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("owners that meet", () => {
  test("of many that open at the same time the highest epoch remains, alone", async () => {
    await using one = await upDriver();
    await using two = await upDriver();
    await using meddler = await openMeddler(server());
    await one.queue.publish(blocksOf(numbers(0, 32)));
    const prefixes = ["", "0", "1", "01", "10", "", "0", "1"];

    const opened = await Promise.allSettled(
      prefixes.map((prefix, index) => (index % 2 ? one : two).queue.open(partition(prefix, index + 1))),
    );

    const refusals = opened.filter((result) => result.status === "rejected").map(({ reason }) => reason.reason);
    expect(new Set(refusals).size).toBeLessThanOrEqual(1);
    expect(refusals.every((reason) => reason === "STALE_EPOCH")).toBe(true);
    const names = async () =>
      (await meddler.manager.consumers.list(streamName).next()).map(({ name }) => name).toSorted();
    expect(await names()).toEqual(["q0-0-2-7", "q0-1-2-8"]);
  });

  test("20,000 blocks held by one owner are delivered to the next, in order", async () => {
    await using old = await upDriver();
    await using next = await upDriver();
    const consumer = await old.queue.open(partition("", 1));
    const seqs = numbers(1, 20_000);
    await old.queue.publish(blocksOf(seqs));
    for (let held = 0; held < seqs.length; ) held += (await consumer.pull(512, never())).length;

    const successor = await next.queue.open(partition("", 2));

    expect(await pullNumbers(successor, seqs.length)).toEqual(seqs);
    expect(await old.count("redelivered_blocks_total")).toBe(0);
  });

  test("128 consumers that open together list the others a few times only", async () => {
    await using driver = await upDriver();
    await using meddler = await openMeddler(server());
    let lists = 0;
    meddler.connection.subscribe(`$JS.API.CONSUMER.NAMES.${streamName}`, { callback: () => lists++ });
    await meddler.connection.flush();
    const prefixes = numbers(0, 32).map((lane) => lane.toString(2).padStart(5, "0"));
    const shares = prefixes.flatMap((prefix) => ([0, 1, 2, 3] as const).map((priority) => ({ prefix, priority })));

    await Promise.all(shares.map((share) => driver.queue.open({ queue: "q0", epoch: 1, ...share })));

    await meddler.connection.flush();
    expect(lists).toBeGreaterThanOrEqual(1);
    expect(lists).toBeLessThanOrEqual(4);
  });

  test("who gives a partition up leaves no consumer behind", async () => {
    await using driver = await upDriver();
    await using meddler = await openMeddler(server());
    const consumer = await driver.queue.open(partition());
    await consumer[Symbol.asyncDispose]();
    await expect(consumer.pull(1, never())).rejects.toMatchObject({ code: "cancelled" });
    expect(await meddler.manager.consumers.list(streamName).next()).toEqual([]);
  });
});

describe("what is in the stream", () => {
  test("a message that is no block is removed, counted and passed over", async () => {
    await using driver = await upDriver();
    await using meddler = await openMeddler(server());
    const consumer = await driver.queue.open(partition());
    for (const subject of ["t.q0.2.0.0.0.0.0", "t.q0.2.what", "t.q0.2.0.0.0.0.2"]) {
      await meddler.connection.request(subject, "not a block");
    }
    await driver.queue.publish(blocksOf([1]));

    const deliveries = await pullAll(consumer, 1);
    await consumer.ack(deliveries);

    expect(seqsOf(deliveries)).toEqual([1]);
    expect(await driver.count("undecodable_messages_total")).toBe(3);
    await eventually(async () => (await meddler.stored()) === 0);
  });

  test("a block that was sent to a connection that is gone is delivered again as soon as that shows", async () => {
    await using driver = await upDriver();
    await using meddler = await openMeddler(server());
    const consumer = await driver.queue.open(partition());
    const next = `$JS.API.CONSUMER.MSG.NEXT.${streamName}.${consumerName(partition())}`;
    const steal = () => meddler.connection.request(next, undefined, { noMux: true, timeout: 5_000 });

    await driver.queue.publish(blocksOf([1, 2]));
    await steal();
    expect(await pullNumbers(consumer, 2)).toEqual([1, 2]);

    await driver.queue.publish(blocksOf([3]));
    await steal();
    const pulled = pullNumbers(consumer, 3);
    for (let calls = 0; calls < 2; calls++) expect(await consumer.caughtUpTo()).toBeLessThan(Number.POSITIVE_INFINITY);
    expect(await pulled).toEqual([1, 2, 3]);
    expect(await driver.count("recreated_consumers_total", { cause: "lost" })).toBe(2);
  });

  test("a full stream refuses blocks until some are acked", async () => {
    await using meddler = await openMeddler(server());
    await using driver = await upDriver({ blocksMax: 3 });
    await meddler.deleteStream();
    const consumer = await driver.queue.open(partition());
    await driver.queue.publish(blocksOf([1, 2]));

    await expect(driver.queue.publish(blocksOf([3, 4]))).rejects.toMatchObject({
      code: "exhausted",
      reason: "QUEUE_UNAVAILABLE",
    });

    await consumer.ack(await pullAll(consumer, 3));
    await driver.queue.publish(blocksOf([4]));
    expect(await pullNumbers(consumer, 1)).toEqual([4]);
    expect(await driver.count("publish_failures_total", { cause: "full" })).toBe(1);
  });

  test("how full the stream is shows before it refuses anything, also what others have published, and ends with the acks", async () => {
    await using meddler = await openMeddler(server());
    await using driver = await upDriver({ blocksMax: 100 });
    await meddler.deleteStream();
    const consumer = await driver.queue.open(partition());
    await using other = await upDriver({ blocksMax: 100 });
    await driver.queue.publish(blocksOf(numbers(1, 60)));
    expect(driver.queue.fullness?.()).toBeGreaterThanOrEqual(0.6);
    await other.queue.publish(blocksOf(numbers(61, 25)));
    const shows = { timeoutMs: 8_000 };
    await eventually(() => (driver.queue.fullness?.() ?? 0) >= 0.85, shows);

    await consumer.ack(await pullAll(consumer, 85));

    await eventually(() => driver.queue.fullness?.() === 0, shows);
    expect(await driver.count("publish_failures_total")).toBe(0);
  }, 30_000);

  test("what comes after a pull had enough waits for the next one, invisible to others as long as it is renewed", async () => {
    await using driver = await upDriver({ ackWaitMs: 1_000 });
    await using meddler = await openMeddler(server());
    const consumer = await driver.queue.open(partition());
    const pulled = consumer.pull(10, never());
    await driver.queue.publish(blocksOf([1]));
    const first = await pulled;
    await driver.queue.publish(blocksOf([2, 3]));
    const info = () => meddler.manager.consumers.info(streamName, consumerName(partition()));
    await eventually(async () => (await info()).num_ack_pending === 3);

    // Nothing was asked for since; the open request has brought them, and they are renewed with what is held.
    for (let renewals = 0; renewals < 20; renewals++) {
      await consumer.renew(first);
      await systemClock.sleep(100);
    }

    expect(await consumer.caughtUpTo()).toBeLessThan(Number.POSITIVE_INFINITY);
    expect(await pullNumbers(consumer, 2)).toEqual([2, 3]);
    expect(await driver.count("redelivered_blocks_total")).toBe(0);
  });

  test("ten thousand blocks are published and stored in one call, beyond what may be in flight", async () => {
    await using driver = await upDriver();
    await using meddler = await openMeddler(server());
    await driver.queue.publish(blocksOf(numbers(1, 10_000)));
    expect(await meddler.stored()).toBe(10_000);
    expect(await driver.count("published_blocks_total")).toBe(10_000);
  });

  test("a block that no server can store is a bug of the caller", async () => {
    await using driver = await upDriver();
    const wrong = [
      { seqs: [] },
      { seqs: new Array<number>(257).fill(1) },
      { seqs: [Number.POSITIVE_INFINITY] },
      { lane: 32 },
      { queue: "a.b" },
    ];
    for (const parts of wrong) {
      await expect(driver.queue.publish([aBlock(parts)])).rejects.toMatchObject({ name: "AssertionFailed" });
    }
  });
});
