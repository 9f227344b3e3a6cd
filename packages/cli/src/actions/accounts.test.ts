import { expect, test } from "vitest";
import { exitCodes } from "../errors.ts";
import { jsonLines, startWorld } from "../testing.ts";

test("limits of accounts are set, shown and listed", async () => {
  await using world = await startWorld();
  const set = await world.sluice(["accounts", "set", "acme", "--concurrency", "3", "--rate", "2.5"]);
  expect(set.exitCode).toBe(exitCodes.ok);
  expect(set.stdout).toBe(`ACCOUNT  CONCURRENCY  RATE   BURST  WEIGHT
acme     3            2.5/s  2.5    1
`);
  await world.sluice(["accounts", "set", "zoo", "--weight", "7"]);
  const all = jsonLines((await world.sluice(["accounts", "list", "--json"])).stdout);
  expect(all).toMatchObject([
    { id: "acme", settings: { concurrencyMax: 3, rateMax: 2.5, rateBurst: 0, weight: 1 } },
    { id: "zoo", settings: { concurrencyMax: 0, weight: 7 } },
  ]);
  await world.sluice(["accounts", "set", "acme", "--concurrency", "0", "--rate", "0"]);
  expect((await world.sluice(["accounts", "get", "acme"])).stdout).toContain("acme     no limit     no limit");
  expect((await world.sluice(["accounts", "get", "nobody"])).exitCode).toBe(exitCodes.notFound);
});

test("a burst is shown also while there is no rate that it could be of", async () => {
  await using world = await startWorld();
  const { stdout } = await world.sluice(["accounts", "set", "acme", "--burst", "10"]);
  expect(stdout).toBe(`ACCOUNT  CONCURRENCY  RATE      BURST         WEIGHT
acme     no limit     no limit  10 (no rate)  1
`);
});

test("a limit that is none is refused before anything is sent", async () => {
  await using world = await startWorld();
  const { exitCode, stderr } = await world.sluice(["accounts", "set", "acme", "--rate", "fast"]);
  expect(exitCode).toBe(exitCodes.usage);
  expect(stderr).toContain("Use a number, 0 or more.");
  expect((await world.sluice(["accounts", "set", "acme"])).exitCode).toBe(exitCodes.usage);
});
