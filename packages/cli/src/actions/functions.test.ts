import type { FakeServer } from "@sluice/client/testing";
import { expect, test } from "vitest";
import { exitCodes } from "../errors.ts";
import { jsonLines, startWorld, type World } from "../testing.ts";

type FunctionMessage = NonNullable<ReturnType<FakeServer["functions"]["get"]>>;
/** As on the wire. */
const states = { none: 0, open: 2 } as const;

function add(world: World, fields: Partial<FunctionMessage> = {}): void {
  world.server.functions.set("train", {
    ...{ name: "train", revision: 7, codeSha256: "a", codeBytes: 1, createdAtMs: 0, updatedAtMs: 0, queue: undefined },
    settings: { runtime: "python3", handler: "main.handler", concurrencyMax: 20, rateMax: 0, preemptible: true },
    ...fields,
  });
}

test("limits of a function are set and taken away without its code, and nothing else is changed", async () => {
  await using world = await startWorld();
  add(world);
  const limits = ["--concurrency", "2", "--rate", "0.5", "--burst", "3", "--reserved", "1"];
  const set = await world.sluice(["functions", "set", "train", ...limits]);
  expect([set.exitCode, set.stderr]).toEqual([exitCodes.ok, ""]);
  expect(set.stdout).toMatch(
    /^train changed: concurrencyMax 2 \(was 20\), concurrencyReserved 1 \(was default\), rateMax 0.5 \(was no limit\), rateBurst 3/,
  );
  const kept = { runtime: "python3", handler: "main.handler", preemptible: true };
  const limited = { ...kept, concurrencyMax: 2, concurrencyReserved: 1, rateMax: 0.5, rateBurst: 3 };
  expect(world.server.functions.get("train")).toMatchObject({ settings: limited, codeSha256: "a" });

  const none = ["--concurrency", "none", "--rate", "none", "--burst", "none", "--reserved", "none"];
  const { stdout } = await world.sluice(["functions", "set", "train", ...none, "--json"]);
  expect(jsonLines(stdout)).toMatchObject([
    { settings: { ...kept, concurrencyMax: 0, concurrencyReserved: 0, rateMax: 0, rateBurst: 0 } },
  ]);
});

test("every other setting but code, runtime, handler and environment can be set", async () => {
  await using world = await startWorld();
  add(world);
  const flow = ["--weight", "3", "--preemptible", "false", "--dedicated-queue", "true", "--latency-sensitive", "true"];
  const bounds = ["--instances-max", "5", "--idle-timeout", "2s", "--retries", "1", "--max-age", "1m"];
  const others = ["--timeout", "1m", "--memory", "64", "--instance-concurrency", "2", "--description", "trains"];
  const { exitCode } = await world.sluice(["functions", "set", "train", ...flow, ...bounds, ...others]);
  expect(exitCode).toBe(exitCodes.ok);
  expect(world.server.functions.get("train")?.settings).toMatchObject({
    ...{ weight: 3, preemptible: false, dedicatedQueue: true, latencySensitive: true },
    ...{ instancesMax: 5, idleTimeoutMs: 2_000, maxAsyncRetryAttempts: 1, maxAsyncEventAgeInSeconds: 60 },
    ...{ timeoutMs: 60_000, memoryMb: 64, instanceConcurrency: 2, description: "trains", concurrencyMax: 20 },
  });
});

test.each([
  [["--concurrency", "few"], "Use a whole number, or none."],
  [["--concurrency", "1.5"], "Use a whole number, or none."],
  [["--rate", "-1"], "Use a number of attempts per second, or none."],
  [["--preemptible", "yes"], "Allowed choices are true, false."],
  [[], "name a setting to change, such as --concurrency 10"],
])("what says nothing, or no number, is refused before anything is sent: %s", async (options, advice) => {
  await using world = await startWorld();
  add(world);
  const { exitCode, stderr } = await world.sluice(["functions", "set", "train", ...options]);
  expect([exitCode, stderr]).toEqual([exitCodes.usage, expect.stringContaining(advice)]);
  expect(world.server.functions.get("train")?.revision).toBe(7);
});

test("a function that does not exist ends with 3", async () => {
  await using world = await startWorld();
  const { exitCode, stderr } = await world.sluice(["functions", "set", "nobody", "--weight", "2"]);
  expect([exitCode, stderr]).toEqual([exitCodes.notFound, expect.stringContaining("there is no function nobody")]);
});

test("get shows which queue a function has, and why not one of its own", async () => {
  await using world = await startWorld();
  const shown = async (queue: FunctionMessage["queue"]) => {
    add(world, { queue });
    const { stdout } = await world.sluice(["functions", "get", "train"]);
    return /^queue +(.*)$/m.exec(stdout)?.[1];
  };
  const none = { name: "", state: states.none, reason: "", withheld: "" };
  const own = { name: "d1", state: states.open, reason: "asked", withheld: "" };
  expect(await shown(undefined)).toBe("not known now");
  expect(await shown(none)).toBe("shared");
  expect(await shown({ ...none, withheld: "TOO_MANY_OF_ACCOUNT" })).toBe(
    "shared; one of its own is not used: as many functions of the account have one as may [TOO_MANY_OF_ACCOUNT]",
  );
  expect(await shown({ ...none, withheld: "LATER" })).toBe("shared; one of its own is not used: LATER");
  expect(await shown(own)).toBe("d1 (open, asked)");
  const { stdout } = await world.sluice(["functions", "get", "train", "--json"]);
  expect(jsonLines(stdout)).toMatchObject([{ queue: { name: "d1", state: "open", reason: "asked" } }]);
});
