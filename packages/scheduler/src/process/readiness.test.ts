import { createHealthSignal } from "@sluice/core";
import type { Finding } from "@sluice/runtime";
import { expect, test } from "vitest";
import type { Partition } from "../partition/partition.ts";
import type { Scheduler } from "../scheduler.ts";
import { readinessOf } from "./readiness.ts";

const up = createHealthSignal();
up.set(true);
const health = { store: up, queue: up, coordinator: up };
const partition = (isServed: () => Promise<boolean>) => ({ isServed }) as Partition;

/** The names of the probes that do not hold. */
async function missing(facts: Partial<Scheduler>): Promise<string[]> {
  const scheduler: Scheduler = {
    id: "s",
    partitions: [partition(async () => true)],
    wished: ["q0/-"],
    isTrusted: true,
    attachedAgents: 1,
    run: async () => undefined,
    ...facts,
  };
  const found = await Promise.all(
    Object.entries(readinessOf(scheduler, { health })).map(
      async ([name, probe]) => [name, await Promise.resolve(probe()).catch(() => false)] as const,
    ),
  );
  const holds = (finding: Finding) => (typeof finding === "boolean" ? finding : finding.ok);
  return found.filter(([, finding]) => !holds(finding)).map(([name]) => name);
}

test("an owner that is served and reaches an agent is ready", async () => {
  expect(await missing({})).toEqual([]);
});

test("a scheduler that is wished to own nothing is ready, with or without agents", async () => {
  expect(await missing({ partitions: [], wished: [], attachedAgents: 0 })).toEqual([]);
});

test("before there are wishes nobody is ready", async () => {
  expect(await missing({ partitions: [], wished: undefined })).toEqual(["partitions"]);
});

test("a wish that was not fulfilled yet, a lease that may have ended, and no agent are told", async () => {
  expect(await missing({ wished: ["q0/-", "q1/-"], isTrusted: false, attachedAgents: 0 })).toEqual([
    "lease",
    "partitions",
    "agents",
  ]);
});

test("one partition that the store refuses, or whose queue does not answer, is enough", async () => {
  const good = partition(async () => true);
  const wished = ["q0/-", "q1/-"];
  expect(await missing({ wished, partitions: [good, partition(async () => false)] })).toEqual(["served"]);
  const silent = partition(() => Promise.reject(new Error("no answer")));
  expect(await missing({ wished, partitions: [good, silent] })).toEqual(["served"]);
});
