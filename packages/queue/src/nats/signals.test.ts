import { eventually } from "@sluice/core/testing";
import { startNats } from "@sluice/testbed";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openDriver, openMeddler, untilUp } from "./testing/world.ts";

let servers: Awaited<ReturnType<typeof startNats>> = [];
beforeAll(async () => {
  servers = await startNats();
});
afterAll(async () => {
  for (const each of servers) await each[Symbol.asyncDispose]();
});

test("who listens goes on listening after the server was away; what is sent meanwhile is lost, and counted", async () => {
  await using sender = openDriver(servers);
  await using receiver = openDriver(servers);
  const heard: string[] = [];
  // Before the first connection, too.
  receiver.signals.listen("changed", (payload) => heard.push(payload));
  await untilUp(sender, receiver);
  sender.signals.send("changed", "1");
  await eventually(() => heard.includes("1"));

  for (const server of servers) await server.stop();
  await eventually(() => !sender.health.isUp && !receiver.health.isUp);
  sender.signals.send("changed", "2");
  for (const server of servers) await server.start();
  await untilUp(sender, receiver);

  await eventually(() => {
    sender.signals.send("changed", "3");
    return heard.includes("3");
  });
  expect(heard).not.toContain("2");
  expect(await sender.count("dropped_hints_total", { cause: "away" })).toBe(1);
});

test("a hint longer than the server takes is dropped, counted, and disturbs nobody", async () => {
  await using driver = openDriver(servers);
  await untilUp(driver);
  const heard: number[] = [];
  driver.signals.listen("changed", (payload) => heard.push(payload.length));
  driver.signals.send("changed", "x".repeat(2 ** 20 + 1));
  driver.signals.send("changed", "x".repeat(2 ** 20));
  await eventually(() => heard.length > 0);
  expect(heard).toEqual([2 ** 20]);
  expect(await driver.count("dropped_hints_total", { cause: "too_long" })).toBe(1);
});

test("a listener that fails keeps no hint from the others", async () => {
  await using driver = openDriver(servers);
  await untilUp(driver);
  const heard: string[] = [];
  driver.signals.listen("agents", () => {
    throw new Error("not mine");
  });
  driver.signals.listen("agents", (payload) => heard.push(payload));
  for (const payload of ["a", "b"]) driver.signals.send("agents", payload);
  await eventually(() => heard.length === 2);
  expect(heard).toEqual(["a", "b"]);
});

test("after the last one stopped listening the server sends nothing any more", async () => {
  const [server] = servers;
  if (server === undefined) throw new Error("no server was started");
  await using driver = openDriver(servers);
  await using meddler = await openMeddler(server);
  await untilUp(driver);
  const stops = [driver.signals.listen("function", () => {}), driver.signals.listen("function", () => {})];
  const hasListeners = async () => {
    try {
      await meddler.connection.request("s.function", "main/echo", { timeout: 50 });
    } catch (error) {
      return !String(error).includes("503");
    }
    return true;
  };
  await eventually(hasListeners);
  stops[0]?.();
  expect(await hasListeners()).toBe(true);
  stops[1]?.();
  await eventually(async () => !(await hasListeners()));
});
