import { expect, test } from "vitest";
import { exitCodes } from "../errors.ts";
import { jsonLines, startWorld } from "../testing.ts";

test("what was changed is listed with what, who and why", async () => {
  await using world = await startWorld();
  const { exitCode, stdout } = await world.sluice(["cluster", "events"]);
  expect(exitCode).toBe(exitCodes.ok);
  expect(stdout).toBe(`TIME                  WHAT           OF                              FROM  TO  WHY
2023-11-14 22:13:20Z  leader         -                               -     s1  elected
2023-11-14 22:13:21Z  split          q0                              s1    s2  load (busy 0.93)
2023-11-14 22:13:22Z  route opening  d0123456789abcdef (acme/train)  -     -   command (by ops)
`);
});

test("events are chosen by their queue and their number, and none is said", async () => {
  await using world = await startWorld();
  const [split, ...more] = jsonLines((await world.sluice(["cluster", "events", "--queue", "q0", "--json"])).stdout);
  expect(split).toMatchObject({ kind: "split", queue: "q0", figures: { busy: 0.93 } });
  expect(more).toEqual([]);
  expect(jsonLines((await world.sluice(["cluster", "events", "--limit", "2", "--json"])).stdout)).toHaveLength(2);
  expect((await world.sluice(["cluster", "events", "--queue", "q7"])).stderr).toBe("nothing was changed lately\n");
  expect((await world.sluice(["cluster", "events", "--limit", "x"])).exitCode).toBe(exitCodes.usage);
});
