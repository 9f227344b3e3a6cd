import { aPartition, failure } from "@sluice/client/testing";
import { expect, test } from "vitest";
import { exitCodes } from "../errors.ts";
import { jsonLines, startWorld } from "../testing.ts";

test("the status says who leads, what is missing and what waits", async () => {
  await using world = await startWorld();
  const [queue] = world.server.cluster.queues;
  if (queue) {
    queue.partitions = [
      aPartition({ prefix: "0", waiting: 1_200, backlogAgeMs: 12_500 }),
      aPartition({ prefix: "10", owner: "", wishedOwner: "s2" }),
      aPartition({ prefix: "11", owner: "s1", wishedOwner: "s2" }),
    ];
  }
  const { exitCode, stdout } = await world.sluice(["cluster", "status"]);
  expect(exitCode).toBe(exitCodes.ok);
  expect(stdout).toBe(`leader      s1
schedulers  2
queues      1
partitions  3 (1 without an owner) (1 moving)
waiting     1200, the oldest for 12.5 s
agents      1
slots       8
`);
  const [facts] = jsonLines((await world.sluice(["cluster", "status", "--json"])).stdout);
  expect(facts).toMatchObject({
    leader: "s1",
    members: 2,
    partitions: 3,
    unowned: 1,
    moving: 1,
    waiting: 1_200,
    silent: 0,
  });
});

test("schedulers, partitions and agents are listed", async () => {
  await using world = await startWorld();
  world.server.cluster.queues.push({ name: "q1", partitions: [aPartition({ queue: "q1" })], shapeRestsUntilMs: 0 });
  const members = await world.sluice(["cluster", "members"]);
  expect(members.stdout.split("\n").slice(0, 2)).toEqual([
    "SCHEDULER  CAPACITY  PARTITIONS  WAITING  BUSY  ROLE",
    "s1         1         2           0        25 %  leader",
  ]);
  const partitions = await world.sluice(["cluster", "partitions"]);
  expect(partitions.stdout).toContain(
    "PARTITION  OWNER  WISHED OWNER  EPOCH  WAITING  PARKED  OLDEST  PER SECOND  RESTS UNTIL",
  );
  expect(partitions.stdout.split("\n")).toHaveLength(4);
  const only = jsonLines((await world.sluice(["cluster", "partitions", "q1", "--json"])).stdout);
  expect(only).toMatchObject([{ queue: "q1", prefix: "", owner: "s1", epoch: 9 }]);
  expect((await world.sluice(["cluster", "agents"])).stdout).toContain("host:1   8      2023-11-14 22:13:20Z  alive");
});

test("a partition is split, moved and merged", async () => {
  await using world = await startWorld();
  const split = await world.sluice(["cluster", "split", "q0"]);
  expect(split.stdout).toBe(`PARTITION  WISHED OWNER  RESTS UNTIL
q0/0       s1            -
q0/1       s1            -
`);
  const moved = await world.sluice(["cluster", "move", "q0/1", "--to", "s2", "--json"]);
  expect(jsonLines(moved.stdout)).toEqual([
    {
      changed: true,
      queue: "q0",
      partitions: [
        { prefix: "0", wishedOwner: "s1" },
        { prefix: "1", wishedOwner: "s2", restsUntilMs: 1_700_003_600_000 },
      ],
    },
  ]);
  expect((await world.sluice(["cluster", "merge", "q0/-"])).stdout).toContain("q0         s1");
  expect((await world.sluice(["cluster", "merge", "q0"])).stderr).toBe("it was so already\n");
});

test("what is no partition, or not there, or not allowed, has its exit code", async () => {
  await using world = await startWorld();
  const run = async (...line: string[]) => (await world.sluice(["cluster", ...line])).exitCode;
  for (const text of ["q0/2", "q0/", "/0", "q0/000000", "a/b/0"])
    expect(await run("split", text)).toBe(exitCodes.usage);
  expect(await run("move", "q0")).toBe(exitCodes.usage);
  expect(await run("split", "q9")).toBe(exitCodes.notFound);
  world.server.faults.beforeCall = () => {
    throw failure("PERMISSION_DENIED", "call with a key of an operator account");
  };
  const { exitCode, stderr } = await world.sluice(["cluster", "status"]);
  expect([exitCode, stderr]).toEqual([exitCodes.rejected, expect.stringContaining("operator account")]);
});
