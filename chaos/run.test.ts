import { seededRandom } from "@sluice/core/testing";
import { expect, test } from "vitest";
import type { Arena, ArenaOptions, RunResult, Scenario, Workload } from "./contract.ts";
import { anEvidence } from "./evidence/testing.ts";
import { runScenarios } from "./run.ts";
import type { Harness } from "./run-harness.ts";
import { resultOf } from "./run-real.ts";
import { scenarios } from "./scenarios/index.ts";

const evidence = anEvidence();

/** Writes down what is done to it. */
function fakeHarness({ cannot = () => undefined }: Partial<Pick<Harness, "cannot">> = {}) {
  const done: string[] = [];
  let arenas = 0;
  const workload = {
    counts: { accepted: 0, rejected: 0, unknown: 0 },
    now: () => 0,
    running: () => [],
    accepted: async () => undefined,
    started: async () => undefined,
    finish: async () => evidence,
    [Symbol.asyncDispose]: async () => undefined,
  } satisfies Workload;
  const harness: Harness = {
    cannot,
    async openArena(options: ArenaOptions) {
      arenas += 1;
      const name = `arena ${arenas}`;
      done.push(`open ${name} ${options.leaseProfile ?? "default"}`);
      return {
        heal: async () => void done.push(`heal ${name}`),
        [Symbol.asyncDispose]: async () => void done.push(`end ${name}`),
      } as unknown as Arena;
    },
    startWorkload: async () => workload,
    judge: resultOf,
  };
  return { done, harness };
}

const calmly: Scenario = { name: "calmly", about: "nothing happens", run: async () => undefined };
const failing: Scenario = {
  ...calmly,
  name: "failing",
  run: () => Promise.reject(new Error("the script is wrong")),
};

interface Wishes {
  readonly signal?: AbortSignal;
  readonly mustMeetAims?: boolean;
  readonly repeat?: number;
}

function resultsOf(
  harness: Harness,
  wanted: readonly Scenario[],
  { signal = new AbortController().signal, mustMeetAims = false, repeat = 1 }: Wishes = {},
): Promise<RunResult[]> {
  return runScenarios(harness, {
    scenarios: wanted,
    seed: 1,
    repeat,
    random: seededRandom(1),
    conditions: {},
    calmMs: 0,
    mustMeetAims,
    signal,
    on: { begun: () => undefined, said: () => undefined, ended: () => undefined },
  });
}

async function runAll(harness: Harness, wanted: readonly Scenario[], wishes: Wishes = {}) {
  const results = await resultsOf(harness, wanted, wishes);
  return results.map(({ scenario, passed, notRun, violations }) => ({
    scenario,
    passed,
    ...(notRun && { notRun }),
    violations: violations.map(({ invariant, message }) => `${invariant}: ${message}`),
  }));
}

test("every scenario has an arena of its own, of the profile that was asked for", async () => {
  const { harness, done } = fakeHarness();
  const fast: Scenario = { ...calmly, name: "fast", arena: { leaseProfile: "fast" } };
  await runAll(harness, [calmly, fast]);
  expect(done).toEqual([
    "open arena 1 default",
    "heal arena 1",
    "end arena 1",
    "open arena 2 fast",
    "heal arena 2",
    "end arena 2",
  ]);
});

test("a script that fails is a run that fails, which is healed and judged all the same", async () => {
  const { harness, done } = fakeHarness();
  expect(await runAll(harness, [failing])).toEqual([
    { scenario: "failing", passed: false, violations: ["harness: the script: the script is wrong"] },
  ]);
  expect(done).toContain("heal arena 1");
});

test("a run that cannot be judged keeps its logs and marks while its cluster exists", async () => {
  for (const broken of ["startWorkload", "finish", "judge"] as const) {
    const { harness, done } = fakeHarness();
    const refuse = () => Promise.reject(new Error(`${broken} fails`));
    const striking: Scenario = { ...calmly, run: async (stage) => void stage.mark("crash", "agent-0") };
    const keep: Harness["keep"] = async (_arena, { violations, marks }, found) => {
      done.push(`keep ${violations[0]?.message}, ${marks.length} marks, ${found ? "evidence" : "no evidence"}`);
      return "a folder";
    };
    const [result] = await resultsOf(
      {
        ...harness,
        keep,
        ...(broken !== "finish" && { [broken]: refuse }),
        ...(broken === "finish" && {
          startWorkload: async (arena, options) => ({
            ...(await harness.startWorkload(arena, options)),
            finish: refuse,
          }),
        }),
      },
      [striking],
    );
    const marks = broken === "startWorkload" ? 0 : 1;
    expect(result).toMatchObject({ passed: false, violations: [{ message: `${broken} fails` }] });
    expect(result?.marks).toHaveLength(marks);
    const evidenceOr = broken === "judge" ? "evidence" : "no evidence";
    expect(done.slice(-2)).toEqual([`keep ${broken} fails, ${marks} marks, ${evidenceOr}`, "end arena 1"]);
  }
});

test("a fault is repeated where that makes sense, and conditions and bounds are those of what was done", async () => {
  const repeats: number[] = [];
  const run: Scenario["run"] = async (_stage, repeat) => void repeats.push(repeat);
  const { harness } = fakeHarness();
  const results = await resultsOf(
    harness,
    [
      { ...calmly, run, repeats: true },
      { ...calmly, run },
    ],
    { repeat: 100 },
  );
  expect(repeats).toEqual([100, 1]);
  expect(results.map(({ conditions }) => conditions["repeat"])).toEqual([100, 1]);
});

test("every scenario that heeds how often it is to be repeated says so, and no other", () => {
  const heeding = scenarios.filter(({ run }) => run.length > 1).map(({ name }) => name);
  expect(scenarios.filter(({ repeats }) => repeats).map(({ name }) => name)).toEqual(heeding);
  expect(heeding.length).toBeGreaterThan(10);
});

test("what a failed run has shown is reported also when its evidence cannot be kept", async () => {
  const { harness } = fakeHarness();
  const keep = () => Promise.reject(new Error("no space left on device"));
  expect(await runAll({ ...harness, keep }, [failing])).toEqual([
    { scenario: "failing", passed: false, violations: ["harness: the script: the script is wrong"] },
  ]);
});

test("what the host cannot do is not run, and has not passed", async () => {
  const { harness, done } = fakeHarness({ cannot: () => "no network namespaces here" });
  expect(await runAll(harness, [calmly])).toEqual([
    { scenario: "calmly", passed: false, notRun: "no network namespaces here", violations: [] },
  ]);
  expect(done).toEqual([]);
});

test("a negative control fails when nothing breaks", async () => {
  const { harness } = fakeHarness();
  expect(await runAll(harness, [{ ...calmly, mustBreak: ["I3"] }])).toEqual([
    { scenario: "calmly", passed: false, violations: ["control: I3 holds, although it must break here"] },
  ]);
});

test("an aim that is not reached, or not measured, fails a run only if it must meet its aims", async () => {
  const { harness } = fakeHarness();
  const aiming: Scenario = { ...calmly, aims: [{ figure: "adopted", share: 0.99 }] };
  expect(await runAll(harness, [aiming])).toEqual([{ scenario: "calmly", passed: true, violations: [] }]);
  expect(await runAll(harness, [aiming, calmly], { mustMeetAims: true })).toEqual([
    { scenario: "calmly", passed: false, violations: ["aim: running tasks adopted ≥ 99 %: not measured"] },
    { scenario: "calmly", passed: true, violations: [] },
  ]);
});

test("an interruption ends the run under way and its arena, and keeps the results before it", async () => {
  const { harness, done } = fakeHarness();
  const controller = new AbortController();
  const interrupted: Scenario = {
    ...calmly,
    name: "interrupted",
    async run(stage) {
      controller.abort(new Error("Ctrl-C"));
      await stage.sleep(60_000);
    },
  };
  const results = await runAll(harness, [calmly, interrupted, calmly], { signal: controller.signal });
  expect(results.map(({ scenario }) => scenario)).toEqual(["calmly"]);
  expect(done.at(-1)).toBe("end arena 2");
});

test("every scenario has a name of its own, in the same style", () => {
  const names = scenarios.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names.filter((name) => !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name))).toEqual([]);
});
