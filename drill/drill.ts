// The drill from beginning to end:
//
//   old version prepared ──▶ cluster of it, under load ──▶ forward, one by one ──▶ back, one by one ──▶ everything final ──▶ judged
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ServiceKind, ServiceOverrides } from "@sluice/cluster";
import { seededRandom } from "@sluice/core/testing";
import { openArena } from "../chaos/arena/index.ts";
import type { Arena, Stage, Workload } from "../chaos/contract.ts";
import { sleep, within } from "../chaos/run-within.ts";
import { agentEnvironment, startWorkload } from "../chaos/workload/index.ts";
import { git } from "./git.ts";
import { openOldVersion } from "./old-version.ts";
import { pickRef } from "./pick-ref.ts";
import { rollUpgrade, type Step, upwards } from "./upgrade.ts";
import { judgeUpgrade, type Verdict } from "./verdict.ts";

export interface DrillOptions {
  /** The old version; default: the one before this. */
  readonly from?: string | undefined;
  /** Submissions per second. */
  readonly rate: number;
  readonly seed: number;
  /** How long long tasks run, from and until. */
  readonly longMs: readonly [number, number];
  /** How long agents let running attempts go on. */
  readonly drainMs: number;
  /** A folder that gets the services' logs; default: nobody keeps them. */
  readonly logsTo?: string | undefined;
  /** A line of progress. */
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

export interface DrillResult {
  readonly verdict: Verdict;
  readonly conditions: Readonly<Record<string, string | number>>;
}

const checkout = join(import.meta.dirname, "..");
const sizes = { apiServers: 2, schedulers: 3, agents: 3 };
const calm = { accepted: 100, started: 100, ms: 10_000, withinMs: 60_000 };
/** Of one direction; each step has shorter bounds of its own. */
const rollWithinMs = 15 * 60_000;
/** After the last long task. */
const quietMs = 120_000;

/** Rejects with what the signal aborts with, and when the old version or the cluster cannot be had. */
export async function drill(options: DrillOptions): Promise<DrillResult> {
  const { longMs, drainMs, rate, seed, say, signal } = options;
  const ref = await pickRef(checkout, options.from);
  await using old = await openOldVersion(checkout, ref, signal);
  const here = (await git(checkout, "describe", "--always", "--dirty")) ?? "this checkout";
  say(`from ${ref.name} (dependencies ${old.dependencies}) to ${here}, and back`);

  const roots = new Map<string, string>();
  const rootOf = (service: string) => roots.get(service) ?? old.root;
  await using arena = await openArena({
    ...sizes,
    signal,
    environment: { agent: { ...agentEnvironment, SLUICE_AGENT_DRAIN_MS: String(drainMs) } },
    overrides: ({ name }): ServiceOverrides => ({ root: rootOf(name) }),
  });
  using _ = { [Symbol.dispose]: () => keepLogs(arena, options.logsTo) };
  await using workload = await startWorkload(arena, { seed, rate, longMs });
  const stage = createStage(arena, workload, options);
  const bounded = <T>(what: string, ms: number, work: Promise<T>) => within(work, { ms, what, signal });

  await bounded(
    "the calm before",
    2 * calm.withinMs,
    splitQueues(arena).then(() => untilCalm(stage)),
  );
  const roll = (what: string, upgrade: Promise<Step[]>) => bounded(what, rollWithinMs, upgrade);
  const forward = await roll(
    "the way forward",
    rollUpgrade(stage, { to: "new", onGone: (service) => roots.set(service, checkout) }),
  );
  const back = await roll(
    "the way back",
    rollUpgrade(stage, { to: "old", order: upwards.toReversed(), onGone: (service) => roots.delete(service) }),
  );
  say("waiting until everything accepted is final");
  const finishMs = longMs[1] + quietMs;
  const evidence = await bounded("the end", 2 * finishMs, workload.finish(finishMs));
  return {
    verdict: judgeUpgrade(evidence, [...forward, ...back], {
      drainMs,
      longMsMax: longMs[1],
      logs: logsOf(arena, "scheduler"),
    }),
    conditions: { from: ref.name, to: here, ...sizes, rate, seed, drainMs, longMs: longMs.join("-") },
  };
}

/** Quarters every queue, so that many partitions change their owner, as in a larger cluster. What is commanded rests. */
async function splitQueues(arena: Arena): Promise<void> {
  await using operator = arena.connect();
  const { queues } = await operator.cluster.get();
  for (const { name } of queues) {
    for (const prefix of ["", "0", "1"]) await operator.cluster.split(name, prefix);
  }
}

function keepLogs({ cluster }: Arena, folder: string | undefined): void {
  if (folder !== undefined) cpSync(join(cluster.dataDir, "logs"), folder, { recursive: true });
}

function logsOf({ cluster }: Arena, kind: ServiceKind): string[] {
  return cluster.services
    .filter((service) => service.kind === kind)
    .map(({ logFile }) => readFileSync(logFile, "utf8"));
}

async function untilCalm({ workload, sleep: pause }: Stage): Promise<void> {
  await Promise.all([workload.accepted(calm.accepted, calm.withinMs), workload.started(calm.started, calm.withinMs)]);
  await pause(calm.ms);
}

function createStage(arena: Arena, workload: Workload, { seed, say, signal }: DrillOptions): Stage {
  const random = seededRandom(seed).fork("drill");
  return {
    arena,
    workload,
    random: () => random.next(),
    sleep: (ms) => sleep(ms, signal),
    mark(kind, where, partitions) {
      const from = workload.now();
      const owner = partitions ? `, owner of ${partitions.length} partitions` : "";
      return () => say(`${kind} ${where}${owner}: ${((workload.now() - from) / 1_000).toFixed(1)} s`);
    },
  };
}
