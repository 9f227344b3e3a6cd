import { FakeClock, seededRandom } from "@sluice/core/testing";
import { Registry } from "prom-client";
import { expect, test } from "vitest";
import type { AgentConfig } from "../config.ts";
import { FakeGateway } from "../fake-gateway.ts";
import { agentMetrics } from "../metrics.ts";
import { aConfig, refOf, silentLog } from "../testing.ts";
import { LogUploader } from "./log-uploader.ts";

function startUploader(config: Partial<AgentConfig> = {}) {
  const clock = new FakeClock();
  const gateway = new FakeGateway(clock);
  const uploader = new LogUploader({
    config: aConfig(config),
    clock,
    random: seededRandom(1),
    log: silentLog,
    metrics: agentMetrics(new Registry()),
    gateway,
  });
  const stop = new AbortController();
  const running = uploader.run(stop.signal);
  return {
    clock,
    gateway,
    uploader,
    /** The log of an attempt as the gateway has it: pieces by index, the first one of each counts. */
    stored(seq: number): string {
      const pieces = new Map<number, string>();
      for (const piece of gateway.calls.flat()) {
        if (piece.seq === seq && !pieces.has(piece.index)) pieces.set(piece.index, piece.data.toString());
      }
      return [...pieces]
        .sort(([a], [b]) => a - b)
        .map(([, text]) => text)
        .join("");
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}
const text = (value: string) => Buffer.from(value);

test("output is stored within 300 ms, as one piece per run of a stream", async () => {
  await using world = startUploader();
  const sink = world.uploader.open(refOf(1));
  const startedAt = world.clock.now();
  sink.write("stdout", text("a"));
  sink.write("stdout", text("b"));
  sink.write("stderr", text("!"));
  await world.clock.advance(299);
  expect(world.gateway.calls).toEqual([]);
  await world.clock.advance(1);
  expect(world.gateway.calls).toEqual([
    [
      { seq: 1, attempt: 1, index: 0, stream: 1, timeMs: startedAt, data: text("ab") },
      { seq: 1, attempt: 1, index: 1, stream: 2, timeMs: startedAt, data: text("!") },
    ],
  ]);
  expect(world.uploader.isEmpty).toBe(true);
});

test("much output is stored at once", async () => {
  await using world = startUploader();
  world.uploader.open(refOf(1)).write("stdout", Buffer.alloc(64 * 1024));
  await world.clock.settle();
  expect(world.gateway.calls).toHaveLength(1);
});

test("what comes after a piece was sent is another piece", async () => {
  await using world = startUploader();
  const sink = world.uploader.open(refOf(1));
  sink.write("stdout", text("a"));
  await world.clock.advance(300);
  sink.write("stdout", text("b"));
  await world.clock.advance(300);
  expect(world.gateway.calls.flat().map(({ index, data }) => [index, data.toString()])).toEqual([
    [0, "a"],
    [1, "b"],
  ]);
});

test("a call that failed is repeated unchanged, and nothing is lost", async () => {
  await using world = startUploader();
  world.gateway.stores = "fails";
  const sink = world.uploader.open(refOf(1));
  sink.write("stdout", text("a"));
  await world.clock.advance(1_000);
  sink.write("stdout", text("b"));
  await world.clock.advance(10_000);
  expect(world.gateway.calls.length).toBeGreaterThan(3);
  expect(world.gateway.calls.every((pieces) => pieces.length === 1 && pieces[0]?.data.toString() === "a")).toBe(true);
  expect(world.uploader.isEmpty).toBe(false);
  world.gateway.stores = "answers";
  await world.clock.advance(6_000);
  expect(world.stored(1)).toBe("ab");
  expect(world.uploader.isEmpty).toBe(true);
});

test("logs that are refused for good do not stand in the way of others", async () => {
  await using world = startUploader();
  world.gateway.stores = "refuses";
  world.uploader.open(refOf(1)).write("stdout", text("a"));
  await world.clock.advance(300);
  world.gateway.stores = "answers";
  world.uploader.open(refOf(2)).write("stdout", text("b"));
  await world.clock.advance(300);
  expect(world.gateway.calls.map(([piece]) => piece?.seq)).toEqual([1, 2]);
});

test("when too much waits, output is dropped, and a mark says how much", async () => {
  await using world = startUploader({ logBufferBytesMax: 100 });
  world.gateway.stores = "fails";
  const sink = world.uploader.open(refOf(1));
  sink.write("stdout", Buffer.alloc(80, "a"));
  await world.clock.advance(1_000);
  sink.write("stdout", Buffer.alloc(30, "b"));
  sink.write("stdout", Buffer.alloc(12, "c"));
  sink.end();
  world.gateway.stores = "answers";
  await world.clock.advance(10_000);
  // The 12 bytes fit, behind a mark for the 30 that did not.
  expect(world.stored(1)).toBe(
    `${"a".repeat(80)}\n[30 bytes of the log were dropped: they could not be stored]\n${"c".repeat(12)}`,
  );
});

test("a drop at the very end is marked, too", async () => {
  await using world = startUploader({ logBufferBytesMax: 10 });
  const sink = world.uploader.open(refOf(1));
  sink.write("stdout", Buffer.alloc(20, "a"));
  sink.end();
  await world.clock.advance(300);
  expect(world.stored(1)).toBe("\n[20 bytes of the log were dropped: they could not be stored]\n");
});

test("the log of one attempt is bounded, with a mark where it is cut off", async () => {
  await using world = startUploader({ logAttemptBytesMax: 10 });
  const sink = world.uploader.open(refOf(1));
  for (const chunk of ["12345678", "abcdefgh", "more"]) sink.write("stdout", text(chunk));
  await world.clock.advance(300);
  expect(world.stored(1)).toBe("12345678ab\n[the log of this attempt is cut off: it exceeds 10 bytes]\n");
});

test("pieces and calls are bounded in bytes", async () => {
  await using world = startUploader({ logPieceBytesMax: 10, logCallBytesMax: 25 });
  world.uploader.open(refOf(1)).write("stdout", Buffer.alloc(64, "x"));
  await world.clock.advance(300);
  expect(world.gateway.calls.map((pieces) => pieces.map(({ data }) => data.length))).toEqual([
    [10, 10],
    [10, 10],
    [10, 10, 4],
  ]);
});
