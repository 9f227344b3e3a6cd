import { FakeClock, seededRandom } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { ApiError, apiCode } from "./api.ts";
import { examine } from "./examine.ts";
import type { Doubt } from "./inbox.ts";
import { consumerName } from "./subjects.ts";

const share = { queue: "q0", prefix: "0", priority: 2, epoch: 7 } as const;
const notFound = (code: number) => new ApiError("test", { err_code: code });

interface Facts {
  readonly replicas?: 1 | 3;
  /** The server that is connected now, and the one before. */
  readonly serverIds?: readonly [string, string];
  readonly isReconnected?: boolean;
  readonly received?: number;
  readonly delivered?: { readonly consumer_seq: number; readonly stream_seq: number } | number;
  readonly lastSeq?: number;
  readonly names?: readonly (readonly string[])[];
  readonly doubt?: Doubt;
}

async function examined(facts: Facts) {
  const { replicas = 1, serverIds = ["A", "A"], isReconnected = false, received = 5, lastSeq = 100, doubt } = facts;
  const { delivered = { consumer_seq: 5, stream_seq: 50 } } = facts;
  const clock = new FakeClock();
  const names = [...(facts.names ?? [])];
  const session = {
    serverId: serverIds[0],
    api: {
      async consumer() {
        if (typeof delivered === "number") throw notFound(delivered);
        return { delivered };
      },
      stream: async () => ({ state: { last_seq: lastSeq } }),
      consumerNames: async () => names.shift() ?? [],
    },
  };
  const before = isReconnected ? { ...session, serverId: serverIds[1] } : session;
  const inbox = { serverId: serverIds[1], session: before, consumerSeq: received, doubt };
  const deps = { clock, random: seededRandom(1), replicas };
  const result = examine(deps, session, share, inbox);
  result.catch(() => {});
  await clock.advance(2_000);
  return result;
}

test("a consumer that is where it was is sound, also on another server of a cluster", async () => {
  expect(await examined({})).toBeUndefined();
  expect(await examined({ isReconnected: true })).toBeUndefined();
  expect(await examined({ isReconnected: true, replicas: 3, serverIds: ["B", "A"] })).toBeUndefined();
});

test("after the restart of a single server nothing that it says of the past is trusted", async () => {
  expect(await examined({ isReconnected: true, serverIds: ["B", "A"] })).toBe("restart");
});

test("what was delivered into a connection that broke must be delivered again", async () => {
  const delivered = { consumer_seq: 9, stream_seq: 50 };
  expect(await examined({ isReconnected: true, delivered })).toBe("in_flight");
  // On one that stands it is on its way.
  expect(await examined({ delivered })).toBeUndefined();
});

test("a consumer behind the end of its stream would deliver nothing", async () => {
  expect(await examined({ lastSeq: 49 })).toBe("position");
  expect(await examined({ lastSeq: 50 })).toBeUndefined();
});

test("what was found out elsewhere is not asked again", async () => {
  for (const doubt of ["lost", "stalled", "ghosts"] as const) {
    expect(await examined({ doubt, delivered: 1 })).toBe(doubt);
  }
});

test("one that went with its stream is missed at once", async () => {
  expect(await examined({ delivered: apiCode.streamNotFound })).toBe("stream");
});

test("one that somebody deleted is missed when no successor shows up", async () => {
  const others = [consumerName({ ...share, prefix: "1", epoch: 9 }), consumerName({ ...share, epoch: 6 }), "foreign"];
  expect(await examined({ delivered: apiCode.consumerNotFound, names: [others, others] })).toBe("missing");
});

test("one whose successor is there, or comes soon, is replaced", async () => {
  const successor = consumerName({ ...share, prefix: "", epoch: 8 });
  for (const names of [[[successor]], [[], [successor]]]) {
    await expect(examined({ delivered: apiCode.consumerNotFound, names })).rejects.toMatchObject({
      reason: "STALE_EPOCH",
    });
  }
});

test("an answer that never came, or makes no sense, says nothing", async () => {
  await expect(examined({ delivered: 10008 })).rejects.toMatchObject({ reason: "QUEUE_UNAVAILABLE" });
});
