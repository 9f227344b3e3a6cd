// Of what a step needs to show anything.
import { expect, test } from "vitest";
import type { Stage } from "../chaos/contract.ts";
import { rollUpgrade } from "./upgrade.ts";

const probe = { name: "/readyz", ask: async () => "not ready" as const };

/** One agent, on which so many tasks run. */
function stageWith(running: number) {
  const done: string[] = [];
  const stage = {
    arena: {
      cluster: { services: [{ name: "agent-0", kind: "agent" }] },
      part: () => ({ stop: async () => void done.push("stop"), start: async () => void done.push("start") }),
    },
    workload: {
      now: () => 0,
      running: () => Array.from({ length: running }, (_, index) => ({ taskId: `t${index}`, agentId: "agent-0" })),
      started: async () => undefined,
    },
    random: () => 0,
    sleep: async () => undefined,
    mark: () => () => undefined,
  } as unknown as Stage;
  return { stage, done };
}

test("a service is replaced while something runs that it could disturb", async () => {
  for (const running of [1, 7]) {
    const { stage, done } = stageWith(running);
    expect(await rollUpgrade(stage, { probesOf: () => [probe] })).toMatchObject([
      { service: "agent-0", kind: "agent", farewells: [{ probe: "/readyz", said: "not ready" }] },
    ]);
    expect(done).toEqual(["stop", "start"]);
  }
});

test("no service is replaced while nothing runs: that would show nothing", async () => {
  const { stage, done } = stageWith(0);
  await expect(rollUpgrade(stage)).rejects.toThrow("nothing runs on agent-0");
  expect(done).toEqual([]);
});
