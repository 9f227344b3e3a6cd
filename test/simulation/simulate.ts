// One seed: calm start, faults, heal; then everything must end within a bound. Afterwards the checkers look at what happened.

import type { FullHistory, Violation } from "@sluice/checkers";
import { check, leftIn, type Rest } from "@sluice/checkers";
import { AccountId, type Task } from "@sluice/core";
import type { CounterName } from "./counters.ts";
import { type Strike, startFaults } from "./fault-driver.ts";
import { describePlan, type FaultName, faultNamesOf, planFaults, withoutFaults } from "./faults.ts";
import { findRest } from "./recorders/rest.ts";
import { countSometimes } from "./sometimes.ts";
import type { StoreOfRuns } from "./store/store-of-runs.ts";
import { accounts, startWorkload, type Workload } from "./workload.ts";
import { World, type WorldSize } from "./world.ts";

export { openStoreOfRuns, type StoreKind, type StoreOfRuns, storeKinds } from "./store/store-of-runs.ts";

export interface SimulateOptions {
  readonly seed: number;
  /** Of virtual time with faults; default half a minute. */
  readonly minutes?: number;
  /** Faults that are always on. */
  readonly focus?: readonly FaultName[];
  /** Faults of its plan that this run is spared, and the only strikes that have an effect; what shrinking leaves. */
  readonly without?: readonly FaultName[];
  readonly onlyStrikes?: readonly number[];
  readonly size?: WorldSize;
  /** Before the faults more is submitted for a while than can run; default: of every eighth seed. */
  readonly rush?: boolean;
  /**
   * The same of two accounts, whose queues should hold a few dozen tasks, and whose agents are more than a flow may use; one of
   * them is refused by its downstream. Default: of every tenth seed.
   */
  readonly flood?: boolean;
  /** What is frozen, cut off or away at the heal stays so for its own time; default: of every eighth seed. */
  readonly outlast?: boolean;
}

export interface Outcome {
  readonly seed: number;
  /** Equal for equal seeds, in every process. */
  readonly traceHash: string;
  readonly violations: readonly Violation[];
  readonly counters: Readonly<Record<CounterName, number>>;
  readonly plan: string;
  /** What failed in this run: faults of the plan, and what happened at a moment. */
  readonly faults: readonly FaultName[];
  readonly strikes: readonly Strike[];
  readonly facts: {
    readonly tasks: number;
    readonly executions: number;
    /** Virtual, from the start to the last final status. */
    readonly endedAtMs: number;
    readonly traceLines: number;
  };
  /** The end of the trace, oldest line first. */
  readonly trace: readonly string[];
}

/** Everything is final so long after the heal: agents are found dead, leases expire, retries come back. */
const quietWithinMs = 240_000;

/** Everything that was needed for it is gone so long after that: a silent agent is found dead, a lease ends. */
const restWithinMs = 60_000;
const lookEveryMs = 2_000;
/** What failed before the heal is repaired so long after it: lost messages, owners, agents that hold rows back. */
const repairMs = 90_000;
/** Of an agent: mostly there is room, and sometimes urgent tasks stop others for theirs. */
const manySlots = 8;
const fewSlots = 2;
/** Before the faults. */
const calmMs = 2_000;
/** Instead, with a rush: long enough to wait in order. It comes to an end a while before. */
const calmOfRushMs = 14_000;
const rushMs = 9_000;
const seedsPerRush = 8;
const seedsPerFlood = 10;
const seedsPerOutlast = 8;
/** Flows have shards of agents, and accounts queues of their own. */
const sizeOfFlood: WorldSize = { agents: 7, slots: fewSlots, queues: 4 };

const traceLinesMax = 20_000;

/** Within so long an api-server that was frozen has recorded, or given up, what it had in hand. Its clients are long gone. */
const inHandMs = 15_000;

export async function simulate(storeOfRuns: StoreOfRuns, options: SimulateOptions): Promise<Outcome> {
  const { seed, minutes = 0.5, focus, without = [], onlyStrikes } = options;
  const { rush = seed % seedsPerRush === 1, flood = seed % seedsPerFlood === 3 } = options;
  const { outlast = seed % seedsPerOutlast === 6 } = options;
  const slots = seed % 4 === 0 ? fewSlots : manySlots;
  const size = { slots, ...(flood && sizeOfFlood), ...options.size };
  const world = new World({ seed, openStore: await storeOfRuns.reset(), isSparing: flood, ...size });
  const onUncaught = (cause: unknown) => world.onBug(cause);
  process.on("unhandledRejection", onUncaught);
  try {
    const plan = withoutFaults(planFaults(world.dice.fork("plan"), focus), new Set(without));
    await world.start(accounts);
    const faultsFromMs = rush || flood ? calmOfRushMs : calmMs;
    const untilMs = faultsFromMs + minutes * 60_000;
    const workload = await startWorkload({ world, untilMs, rushes: flood ? 2 : rush ? 1 : 0, rushMs });
    await world.clock.advance(faultsFromMs);
    const faults = startFaults(world, plan, onlyStrikes && { only: new Set(onlyStrikes) });
    await world.clock.advance(untilMs - faultsFromMs);
    const healedAtMs = faults.heal({ atOnce: !outlast });
    await world.clock.advance(healedAtMs - untilMs);
    if (healedAtMs > untilMs) {
      world.counters.add("fault outlasted the others");
      await world.clock.advance(inHandMs);
    }
    await quiet(world, workload);
    const endedAtMs = world.clock.monotonic();
    const rest = await comeToRest(world);
    const calm = [
      { from: 0, until: faultsFromMs },
      { from: healedAtMs + repairMs, until: Number.POSITIVE_INFINITY },
    ];
    const history = await historyOf(world, workload, { calm, rest });
    await countSometimes(world, history);
    const { trace, counters } = world;
    return {
      seed,
      traceHash: trace.hash,
      violations: check(history),
      counters: counters.values,
      plan: describePlan(plan),
      faults: faultNamesOf(plan),
      strikes: faults.strikes,
      facts: {
        tasks: history.rows.length,
        executions: history.executions.length,
        endedAtMs,
        traceLines: trace.length,
      },
      trace: trace.last(traceLinesMax),
    };
  } finally {
    await world.end();
    process.off("unhandledRejection", onUncaught);
  }
}

/** Runs until every row is final and every client is done, or for as long as that may take: I1 says what is left. */
async function quiet(world: World, workload: Workload): Promise<void> {
  const { events } = world.server;
  let seen = 0;
  const open = new Set<number>();
  const isQuiet = () => {
    for (; seen < events.length; seen++) {
      const event = events[seen];
      if (event?.kind === "inserted") open.add(event.seq);
      if (event?.kind === "batch") for (const seq of event.seqs) open.delete(seq);
      if (event?.kind === "written" && event.applied && event.write.kind === "settle") open.delete(event.write.seq);
    }
    return open.size === 0 && workload.isDone && world.ledger.runningCount === 0;
  };
  await world.clock.runUntil(isQuiet, { withinMs: quietWithinMs }).catch((cause: unknown) => {
    world.trace.add(`NOT QUIET ${String(cause)}`);
    // I1 and I14 look later, when it may have ended after all.
    if (open.size > 0) world.onBug(new Error(`not final in time: tasks ${[...open].slice(0, 10).join(", ")}`));
    const { runningCount } = world.ledger;
    if (runningCount > 0) world.onBug(new Error(`${runningCount} attempts still ran when all should have ended`));
    if (!workload.isDone) world.onBug(new Error("a client never came to its end: what it waits for does not happen"));
  });
}

/** What is confirmed, acked, or let go of only after the last task has ended gets a while. */
async function comeToRest(world: World): Promise<Rest> {
  for (let waitedMs = 0; ; waitedMs += lookEveryMs) {
    await world.clock.advance(lookEveryMs);
    const rest = await findRest(world);
    if (waitedMs >= restWithinMs || leftIn(rest).length === 0) return rest;
  }
}

async function historyOf(
  world: World,
  workload: Workload,
  { calm, rest }: Pick<FullHistory, "calm" | "rest">,
): Promise<FullHistory> {
  const rows = await allRows(world);
  return {
    rows,
    submissions: workload.submissions,
    observations: workload.observations,
    stops: workload.stops,
    store: world.server.events,
    agents: world.agentEvents,
    views: workload.views,
    claims: world.claims,
    functions: workload.functions,
    limits: workload.limits,
    sends: world.sends,
    pauses: world.server.pauses,
    rest,
    calm,
    lives: world.agentLives,
    executions: world.ledger.executions,
    bugs: world.bugs,
    wallStart: world.clock.now() - world.clock.monotonic(),
  };
}

async function allRows(world: World): Promise<Task[]> {
  const { server } = world;
  const rows: Task[] = [];
  for (const account of accounts) {
    const filter = { accountId: AccountId(account), order: "oldest", limit: 10_000, includePayload: true } as const;
    const listed = await server.exclusive(
      () => server.store.tasks.list(filter),
      () => undefined,
    );
    rows.push(...listed);
  }
  return rows;
}
