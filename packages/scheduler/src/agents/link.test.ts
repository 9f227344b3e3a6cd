import { AppError, type OwnedPartition } from "@sluice/core";
import { FakeClock, seededRandom } from "@sluice/core/testing";
import type { FromAgent } from "@sluice/protocol";
import { type Logger, silentLogger } from "@sluice/runtime";
import type { FunctionRecord } from "@sluice/store";
import { expect, test } from "vitest";
import { AgentLink, type PartitionPort } from "./link.ts";

/** What a scheduler's log warns of while an agent answers every attach with `failures`, one after the other. */
async function warningsOf(...failures: readonly AppError[]): Promise<unknown[]> {
  const clock = new FakeClock();
  const warnings: unknown[] = [];
  const log: Logger = { ...silentLogger, warn: (_message, fields) => warnings.push(fields?.["reason"]) };
  const left = [...failures];
  const link = new AgentLink(
    {
      clock,
      random: seededRandom(1),
      log,
      schedulerId: "s1",
      connect: () => ({
        api: {
          // biome-ignore lint/correctness/useYield: it fails before there is anything to tell
          async *attach(): AsyncGenerator<FromAgent> {
            throw left.shift();
          },
        },
        close: () => undefined,
      }),
      nextSession: () => 1,
    },
    { agentId: "a1", incarnation: 1, address: "a1:1", slots: 1, version: "1", renewedAt: 0, fenced: false },
  );
  const stop = new AbortController();
  const running = link.run(stop.signal);
  await clock.runUntil(() => left.length === 0);
  await clock.settle();
  stop.abort();
  await running;
  return warnings;
}

const away = new AppError("unavailable", "UNAVAILABLE", "cannot connect");
const refused = new AppError("unauthenticated", "INVALID_JOIN_TOKEN", "the join token is missing");
const untrusted = new AppError("unavailable", "CERTIFICATE_UNTRUSTED", "no authority");

test("an agent that refuses the scheduler is told once, and one that is away is not", async () => {
  expect(await warningsOf(refused, refused, refused)).toEqual(["INVALID_JOIN_TOKEN"]);
  expect(await warningsOf(away, away)).toEqual([]);
  expect(await warningsOf(untrusted, away, untrusted, refused)).toEqual([
    "CERTIFICATE_UNTRUSTED",
    "CERTIFICATE_UNTRUSTED",
    "INVALID_JOIN_TOKEN",
  ]);
});

test("a frame of a newer release, and one without what it should have, are passed over", async () => {
  const clock = new FakeClock();
  const nobody = { ref: undefined, outcome: undefined, startedAtMs: 0, instanceId: "" };
  const status = {
    slots: 7,
    slotsUsed: 0,
    warmRevisions: [],
    draining: false,
    instancesMax: 3,
    slotsOffered: undefined,
    memoryMaxMb: 0,
    preemptible: [],
  };
  const link = new AgentLink(
    {
      clock,
      random: seededRandom(1),
      log: silentLogger,
      schedulerId: "s1",
      connect: () => ({
        api: {
          async *attach(): AsyncGenerator<FromAgent> {
            yield { frame: undefined };
            yield { frame: { $case: "ended", value: { session: 1, attempts: [nobody] } } };
            yield { frame: { $case: "status", value: status } };
          },
        },
        close: () => undefined,
      }),
      nextSession: () => 1,
    },
    { agentId: "a1", incarnation: 1, address: "a1:1", slots: 1, version: "2", renewedAt: 0, fenced: false },
  );
  const stop = new AbortController();
  const running = link.run(stop.signal);
  await clock.settle();
  expect([link.slots, link.instancesMax]).toEqual([7, 3]);
  stop.abort();
  await running;
});

test("a spec is sent once in a session, and again when its function changed within its revision", async () => {
  const clock = new FakeClock();
  const sent: number[][] = [];
  const owner: OwnedPartition = { queue: "q", prefix: "", epoch: 1 };
  const port = {
    owner,
    now: () => 0,
    onRoom: () => undefined,
    onAttached: () => undefined,
  } as unknown as PartitionPort;
  const attached = { session: 1, incarnation: 1, refused: [], inventory: [], status: undefined, answersFlows: true };
  const link = new AgentLink(
    {
      clock,
      random: seededRandom(1),
      log: silentLogger,
      schedulerId: "s1",
      connect: () => ({
        api: {
          async *attach(frames) {
            yield { frame: { $case: "attached", value: attached } };
            for await (const { frame } of frames) {
              if (frame?.$case === "dispatch") sent.push(frame.value.functions.map((spec) => spec.instancesMax));
              if (sent.length === 4) return;
            }
          },
        },
        close: () => undefined,
      }),
      nextSession: () => 1,
    },
    { agentId: "a1", incarnation: 1, address: "a1:1", slots: 1, version: "1", renewedAt: 0, fenced: false },
  );
  link.attach(port);
  const stop = new AbortController();
  const running = link.run(stop.signal);
  await clock.runUntil(() => link.isAttached("q/-"));
  const record = (instancesMax: number, updatedAt: number) =>
    ({ revision: 7, updatedAt, settings: { instancesMax, environment: {} } }) as FunctionRecord;

  // The last one was read before the change.
  for (const each of [record(5, 1), record(5, 1), record(1, 2), record(5, 1)]) link.dispatch(port, [], [each]);
  await clock.settle();

  expect(sent).toEqual([[5], [], [1], []]);
  stop.abort();
  await running;
});
