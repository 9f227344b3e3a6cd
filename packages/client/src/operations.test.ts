import { OperationState } from "@sluice/protocol";
import { expect, test } from "vitest";
import { connect } from "./connect.ts";
import { InvalidArgument, NotFound } from "./errors.ts";
import type { PauseTarget } from "./operations.ts";
import { failure, startFakeServer } from "./testing/index.ts";

test("a function, the account, a queue or a filter is paused once, listed, and resumed by its target or its id", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });
  const targets: PauseTarget[] = [
    { function: "f" },
    { account: true, accountId: "other" },
    { queue: "q0" },
    { tasks: { function: "f", status: "Enqueued", tag: "blue", priority: "low", taskIdPrefix: "a" } },
  ];
  for (const target of [...targets, ...targets]) await client.operations.pause(target, { reason: "why" });

  const pauses = await client.operations.pauses();
  expect(pauses.map(({ target }) => ({ ...target }))).toMatchObject(targets);
  expect(pauses[0]).toMatchObject({ reason: "why", createdBy: "main", heldBy: "account" });
  expect(pauses[1]).toMatchObject({ heldBy: "operators" });
  const resumed = { resumed: true, stillHeld: undefined };
  expect(await client.operations.resume({ function: "f" })).toEqual(resumed);
  expect(await client.operations.resume({ function: "f" })).toEqual({ ...resumed, resumed: false });
  server.place.stillHeld = server.place.pauses.get(pauses[1]?.pauseId ?? "");
  expect(await client.operations.resume({ pauseId: pauses[1]?.pauseId ?? "" })).toEqual({
    ...{ resumed: true, stillHeld: pauses[1] },
  });
  expect(await client.operations.pauses()).toHaveLength(2);
  await expect(client.operations.pause({} as PauseTarget)).rejects.toBeInstanceOf(InvalidArgument);
});

test("an empty text in a filter is refused: it would mean every task", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });
  for (const filter of [{ function: "" }, { tag: "" }, { function: "f", taskIdPrefix: "" }]) {
    await expect(client.operations.deleteTasks(filter)).rejects.toBeInstanceOf(InvalidArgument);
    await expect(client.operations.pause({ tasks: filter })).rejects.toBeInstanceOf(InvalidArgument);
  }
  expect(server.place.operations.size + server.place.pauses.size).toBe(0);
});

test("an operation is started once although its answer gets lost, and watched until it has ended", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });
  let isLost = true;
  server.faults.afterCall = (name) => {
    if (name !== "startOperation" || !isLost) return;
    isLost = false;
    throw failure("UNAVAILABLE", "the answer was lost");
  };
  server.place.progress = [
    { matched: 5, done: 2 },
    { matched: 5, done: 5, state: OperationState.DONE, endedAtMs: 7 },
  ];

  const started = await client.operations.deleteTasks({ function: "f", priority: "low" });
  const seen: (readonly [string, number])[] = [];
  for await (const { state, done } of client.operations.watch(started.operationId, { everyMs: 1 })) {
    seen.push([state, done]);
  }

  expect(isLost).toBe(false);
  expect(started).toMatchObject({ kind: "delete", state: "running", endedAtMs: undefined });
  expect(started.filter).toEqual({ function: "f", priority: "low" });
  expect(seen).toEqual([
    ["running", 2],
    ["done", 5],
  ]);
  const listed: string[] = [];
  for await (const { operationId } of client.operations.list()) listed.push(operationId);
  expect(listed).toEqual([started.operationId]);
});

test("an operation is cancelled; one that is not there is an error of its class", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });
  await client.operations.stopTasks({}, { operationId: "mine", accountId: "other" });

  expect(await client.operations.cancel("mine")).toMatchObject({
    kind: "stop",
    state: "cancelled",
    accountId: "other",
  });
  await expect(client.operations.get("nobody")).rejects.toBeInstanceOf(NotFound);
});
