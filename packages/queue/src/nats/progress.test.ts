import { FakeClock } from "@sluice/core/testing";
import { Registry } from "prom-client";
import { expect, test } from "vitest";
import type { ConsumerInfo } from "./api.ts";
import type { Doubt } from "./inbox.ts";
import { natsMetrics } from "./metrics.ts";
import { Progress } from "./progress.ts";

/** A consumer of which 10 blocks were delivered and are held, none is left, and nothing was ever wrong. */
function aWorld() {
  const clock = new FakeClock();
  const server = {
    info: { consumer_seq: 10, stream_seq: 10, num_ack_pending: 10, num_pending: 0 },
    stored: 10,
    nextStoredAt: undefined as number | undefined,
  };
  const inbox = {
    consumerSeq: 10,
    publishedUntil: 50_000,
    waiting: [] as { publishedAt: number }[],
    waitingMs: undefined as number | undefined,
    doubts: [] as Doubt[],
    raise: (doubt: Doubt) => void inbox.doubts.push(doubt),
  };
  const api = {
    async consumer(): Promise<ConsumerInfo> {
      const { consumer_seq, stream_seq, num_ack_pending, num_pending } = server.info;
      return { delivered: { consumer_seq, stream_seq }, num_ack_pending, num_pending };
    },
    count: async () => server.stored,
    storedAt: async () => server.nextStoredAt,
  };
  const share = { queue: "q0", prefix: "", priority: 2, epoch: 1 } as const;
  const metrics = natsMetrics(new Registry());
  const progress = new Progress({ share, inbox, clock, metrics });
  async function ask() {
    const asked = progress.caughtUpTo(api);
    await clock.advance(1_000);
    return asked;
  }
  return { server, inbox, metrics, ask };
}

test("with nothing left it is caught up; else up to the next block, less the difference that clocks may have", async () => {
  const { server, ask } = aWorld();
  expect(await ask()).toBe(Number.POSITIVE_INFINITY);
  server.info.num_pending = 3;
  server.nextStoredAt = 70_000;
  expect(await ask()).toBe(69_000);
});

test("what waits here for a pull is not delivered yet", async () => {
  const { inbox, ask } = aWorld();
  inbox.waiting = [{ publishedAt: 61_000 }, { publishedAt: 60_000 }];
  expect(await ask()).toBe(59_000);
});

test("what the server has sent and is not here yet is not delivered either", async () => {
  const { server, inbox, ask } = aWorld();
  server.info.consumer_seq = 12;
  expect(await ask()).toBe(49_000);
  server.info.num_pending = 1;
  server.nextStoredAt = 70_000;
  expect(await ask()).toBe(49_000);
  inbox.consumerSeq = 12;
  expect(await ask()).toBe(69_000);
});

test("what is on its way in two calls, while nothing else comes, is lost", async () => {
  const { server, inbox, ask } = aWorld();
  server.info.consumer_seq = 13;
  await ask();
  inbox.consumerSeq = 11;
  await ask();
  expect(inbox.doubts).toEqual([]);
  await ask();
  expect(inbox.doubts).toEqual(["lost"]);
});

test("if the next block is gone by now, no more is certain than what came", async () => {
  const { server, ask } = aWorld();
  server.info.num_pending = 1;
  expect(await ask()).toBe(49_000);
});

test("blocks that wait while a request is open for long, twice in a row, are a stall", async () => {
  const { server, inbox, ask } = aWorld();
  server.info.num_pending = 5;
  inbox.waitingMs = 4_500;
  await ask();
  server.info.consumer_seq = inbox.consumerSeq = 11;
  await ask();
  inbox.waitingMs = 10;
  await ask();
  inbox.waitingMs = 4_500;
  await ask();
  expect(inbox.doubts).toEqual([]);
  await ask();
  expect(inbox.doubts).toEqual(["stalled"]);
});

test("messages that nobody holds or awaits are ghosts when they are seen twice while nothing moves", async () => {
  const { server, inbox, metrics, ask } = aWorld();
  server.stored = 14;
  for (let calls = 0; calls < 12; calls++) await ask();
  expect(inbox.doubts).toEqual([]);
  await ask();
  expect(inbox.doubts).toEqual(["ghosts"]);
  expect((await metrics.ghosts.get()).values[0]?.value).toBe(4);
});

test("an ack that was on its way is no ghost", async () => {
  const { server, inbox, ask } = aWorld();
  server.stored = 11;
  for (let calls = 0; calls < 12; calls++) await ask();
  server.stored = 10;
  for (let calls = 0; calls < 20; calls++) await ask();
  expect(inbox.doubts).toEqual([]);
});
