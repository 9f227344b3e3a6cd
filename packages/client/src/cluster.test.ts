import { AgentState } from "@sluice/protocol";
import { expect, test } from "vitest";
import { connect } from "./connect.ts";
import { Forbidden, NotFound } from "./errors.ts";
import { aPartition, failure, startFakeServer } from "./testing/index.ts";

test("the cluster is seen with absent instead of empty values", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });
  const [queue] = server.cluster.queues;
  if (queue)
    queue.partitions = [aPartition({ waiting: 3, restsUntilMs: 5 }), aPartition({ owner: "", claimRevision: 0 })];
  for (const agent of server.cluster.agents) agent.state = AgentState.FENCED;
  const { members, queues, agents } = await client.cluster.get();
  expect(members).toEqual(server.cluster.members);
  expect(agents[0]?.state).toBe("fenced");
  expect(queues[0]).toMatchObject({ name: "q0", shapeRestsUntilMs: undefined });
  expect(queues[0]?.partitions).toMatchObject([
    { owner: "s1", claimRevision: 7, waiting: 3, restsUntilMs: 5 },
    { owner: undefined, wishedOwner: undefined, claimRevision: undefined, restsUntilMs: undefined },
  ]);
});

test("partitions are split, moved and merged, also when an answer gets lost", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });
  let isLost = true;
  server.faults.beforeCall = () => {
    isLost = !isLost;
    if (!isLost) throw failure("UNAVAILABLE", "the connection broke");
  };
  const split = await client.cluster.split("q0", "");
  expect(split.queue.partitions.map(({ prefix }) => prefix)).toEqual(["0", "1"]);
  const moved = await client.cluster.move("q0", "1", "s2");
  expect(moved.queue.partitions[1]).toMatchObject({ wishedOwner: "s2", restsUntilMs: 1_700_003_600_000 });
  expect((await client.cluster.merge("q0", "")).changed).toBe(true);
  expect((await client.cluster.merge("q0", "")).changed).toBe(false);
});

test("events are seen with absent instead of empty values, all or of one queue", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });
  const events = await client.cluster.events();
  expect(events.map(({ kind }) => kind)).toEqual(["leader", "split", "route opening"]);
  expect(events[0]).toMatchObject({ queue: undefined, from: undefined, to: "s1", by: undefined, figures: {} });
  const [split] = await client.cluster.events({ queue: "q0", limit: 5 });
  expect(split).toMatchObject({ kind: "split", reason: "load", figures: { busy: 0.93 }, from: "s1", to: "s2" });
  expect(await client.cluster.events({ limit: 1 })).toHaveLength(1);
});

test("what is not there, and who may not, is an error of its class", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });
  await expect(client.cluster.split("q9", "")).rejects.toBeInstanceOf(NotFound);
  server.faults.beforeCall = () => {
    throw failure("PERMISSION_DENIED", "call with a key of an operator account");
  };
  await expect(client.cluster.get()).rejects.toBeInstanceOf(Forbidden);
});
