import { expect, test } from "vitest";
import { exitCodes } from "../errors.ts";
import { jsonLines, startWorld } from "../testing.ts";

test("a function is given a queue of its own, and loses it", async () => {
  await using world = await startWorld();
  const none = await world.sluice(["cluster", "routes"]);
  expect(none.stderr + none.stdout).toContain("no function has a queue of its own");
  const added = await world.sluice(["cluster", "routes", "add", "acme/train"]);
  expect(added.exitCode).toBe(exitCodes.ok);
  expect(added.stdout).toContain("acme/train  d0123456789abcdef  opening  command");
  const [line] = jsonLines((await world.sluice(["cluster", "routes", "--json"])).stdout);
  expect(line).toMatchObject({ account: "acme", function: "train", state: "opening", reason: "command" });
  const removed = await world.sluice(["cluster", "routes", "remove", "acme/train", "--json"]);
  expect(jsonLines(removed.stdout)).toMatchObject([{ changed: true, route: { state: "folding" } }]);
});

test("a function that is not named with its account is refused", async () => {
  await using world = await startWorld();
  const { exitCode, stderr } = await world.sluice(["cluster", "routes", "add", "train"]);
  expect(exitCode).toBe(exitCodes.usage);
  expect(stderr).toContain("ACCOUNT/FUNCTION");
});
