// What is compared. Each scenario runs with its mechanism, without it, and as a plain FIFO: everything of one account, one
// function and one priority, which is what a queue without any of this does.
import type { SluiceClient, Submission } from "@sluice/client";
import { type Delays, measureDelays, pause, percentile, startTimeHandler } from "./single-tasks.ts";
import { deployWarm, type FlowTarget, instanceConcurrency, slots, startFlowTarget } from "./target.ts";
import type { Mechanism } from "./without.ts";

export type Variant = "with" | "without" | "fifo";

export interface Scenario {
  readonly name: string;
  readonly about: (size: Size) => string;
  /** How the mechanism is taken out. */
  readonly without: string;
  readonly variants: readonly Variant[];
  readonly head: readonly string[];
  /** Cells of a row; `onStarted` hears of the cluster. */
  run(variant: Variant, size: Size, onStarted: (target: FlowTarget) => void): Promise<readonly string[]>;
}

export interface Size {
  /** Sizes are divided by it. */
  readonly divisor: number;
}

const workMs = 40;
const everyMs = 100;
const delayHead = ["p50", "p99", "backlog at the start", "at the end"];
const count = (tasks: number) => tasks.toLocaleString("en");

interface BacklogScenario {
  readonly name: string;
  readonly tasks: number;
  readonly single: string;
  readonly mechanism: Mechanism;
  readonly howWithout: string;
  /** Of the backlog and of single tasks, but in a FIFO. */
  readonly priorities?: readonly [NonNullable<Submission["priority"]>, NonNullable<Submission["priority"]>];
  readonly singlesAreOfAnotherAccount: boolean;
  /** Without the mechanism; the least that can be set. */
  readonly lookAheadTasksMax?: number;
}

function backlogScenario(o: BacklogScenario): Scenario {
  const sizeOf = ({ divisor }: Size) => ({
    tasks: o.tasks / divisor,
    singles: Math.max(30, 300 / divisor),
    patienceMs: divisor === 1 ? 180_000 : 30_000,
  });
  return {
    name: o.name,
    about: (size) =>
      `${count(sizeOf(size).tasks)} tasks of ${workMs} ms wait; ${o.single}, ${sizeOf(size).singles} times, one each ${everyMs} ms: delay of its start`,
    without: o.howWithout,
    variants: ["with", "without", "fifo"],
    head: delayHead,
    async run(variant, size, onStarted) {
      const { tasks, singles, patienceMs } = sizeOf(size);
      await using target = await startFlowTarget({
        without: variant === "without" ? [o.mechanism] : [],
        lookAheadTasksMax: variant === "without" ? o.lookAheadTasksMax : undefined,
      });
      onStarted(target);
      const isOther = variant !== "fifo" && o.singlesAreOfAnotherAccount;
      const single = isOther
        ? { client: target.quiet, function: "single" }
        : { client: target.noisy, function: "backlog" };
      await deployWarm(target.noisy, "backlog", startTimeHandler(workMs));
      if (isOther) await deployWarm(single.client, single.function, startTimeHandler(workMs));
      const [low, urgent] = variant === "fifo" ? [] : (o.priorities ?? []);
      await submitBacklog(target.noisy, "backlog", tasks, low);
      // Tasks that warmed up.
      const warm = isOther ? 2 : 1;
      const before = tasks + warm - (await succeeded(target));
      const options = { ...single, count: singles, everyMs, patienceMs, ...(urgent && { priority: urgent }) };
      const delays = await measureDelays(options);
      const started = delays.startMs.filter(Number.isFinite).length;
      const after = Math.max(0, tasks + warm + started - (await succeeded(target)));
      return [...cellsOf(delays), count(before), count(after)];
    },
  };
}

function cellsOf(delays: Delays): string[] {
  return [percentile(delays, 0.5), percentile(delays, 0.99)];
}

async function submitBacklog(
  client: SluiceClient,
  functionName: string,
  tasks: number,
  priority: Submission["priority"],
): Promise<void> {
  function* submissions(): Generator<Submission> {
    const rest = priority === undefined ? {} : { priority };
    for (let n = 0; n < tasks; n++) yield { function: functionName, taskId: `backlog_${n}`, ...rest };
  }
  for await (const result of client.submitMany(submissions())) if (!result.ok) throw result.error;
}

function succeeded(target: FlowTarget): Promise<number> {
  return target.metric("sluice_scheduler_settled_writes_total", 'status="Succeeded"');
}

const takenPerSecond = 50;
const downstreamTasks = 20_000;
/** One process, so that it can count; saves up one second. */
const limitedHandler = `
let [tokens, at] = [${takenPerSecond}, performance.now()];
exports.handler = async () => {
  await new Promise((resolve) => setTimeout(resolve, 10));
  const now = performance.now();
  tokens = Math.min(${takenPerSecond}, tokens + ((now - at) * ${takenPerSecond}) / 1_000);
  at = now;
  if (tokens < 1) throw Object.assign(new Error("too many"), { name: "FlowControlError" });
  tokens -= 1;
};`;

const downstream: Scenario = {
  name: "downstream",
  about: (size) =>
    `${count(downstreamTasks)} tasks for a handler that throws FlowControlError above ${takenPerSecond}/s; from second ${timesOf(size).warmMs / 1_000} on, for ${timesOf(size).measuredMs / 1_000} s`,
  without: "source edit: the adaptive gate lets everything through",
  variants: ["with", "without", "fifo"],
  head: ["goodput", `of ${takenPerSecond}/s`, "refused of all attempts"],
  async run(variant, size, onStarted) {
    const { warmMs, measuredMs } = timesOf(size);
    await using target = await startFlowTarget({ without: withoutOf[variant] });
    onStarted(target);
    await deployWarm(target.noisy, "limited", limitedHandler, slots);
    await submitBacklog(target.noisy, "limited", downstreamTasks, undefined);
    await pause(warmMs);
    const before = await outcomes(target);
    await pause(measuredMs);
    const after = await outcomes(target);
    const [taken, refused] = [after.taken - before.taken, after.refused - before.refused];
    const perSecond = (1_000 * taken) / (after.at - before.at);
    const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
    const errors = percent(refused / Math.max(1, taken + refused));
    return [`${perSecond.toFixed(1)}/s`, percent(perSecond / takenPerSecond), errors];
  },
};

/** All tasks are of one flow and one priority, so a FIFO has no other order; it knows nothing of errors either. */
const withoutOf: Readonly<Record<Variant, readonly Mechanism[]>> = {
  with: [],
  without: ["adaptive dispatch"],
  fifo: ["adaptive dispatch", "fair order", "urgency"],
};

/** In quick runs a third: what is judged are rates, and windows are of seconds. */
function timesOf({ divisor }: Size) {
  return divisor === 1 ? { warmMs: 30_000, measuredMs: 60_000 } : { warmMs: 10_000, measuredMs: 20_000 };
}

async function outcomes(target: FlowTarget) {
  const [taken, refused] = await Promise.all([
    succeeded(target),
    target.metric("sluice_scheduler_flow_control_errors_total"),
  ]);
  return { taken, refused, at: performance.now() };
}

const pausedWithinMs = 5_000;

/** What waits is paused while it is worked on, and deleted then. */
const batchControl: Scenario = {
  name: "batch control",
  about: (size) =>
    `${count(1_000_000 / size.divisor)} tasks of ${workMs} ms wait; their function is paused, and then they are deleted`,
  without: "not run: no pause, no effect",
  variants: ["with"],
  head: [
    "last dispatch after the answer",
    `dispatched later than ${pausedWithinMs / 1_000} s after it`,
    "deleted",
    "within",
  ],
  async run(_variant, { divisor }, onStarted) {
    const functionName = "backlog";
    await using target = await startFlowTarget({ without: [] });
    onStarted(target);
    await deployWarm(target.noisy, functionName, startTimeHandler(workMs));
    await submitBacklog(target.noisy, functionName, 1_000_000 / divisor, undefined);
    const dispatched = () => target.metric("sluice_scheduler_dispatched_attempts_total");
    await target.noisy.operations.pause({ function: functionName });
    const pausedAt = performance.now();
    let [last, lastAt, atBound] = [await dispatched(), 0, Number.NaN];
    for (let sinceMs = 0; sinceMs < 3 * pausedWithinMs; sinceMs = performance.now() - pausedAt) {
      const now = await dispatched();
      if (now > last) [last, lastAt] = [now, performance.now() - pausedAt];
      if (sinceMs >= pausedWithinMs && Number.isNaN(atBound)) atBound = now;
      await pause(20);
    }
    const startedAt = performance.now();
    const { operationId } = await target.noisy.operations.deleteTasks({ function: functionName, status: "Enqueued" });
    let done = 0;
    for await (const operation of target.noisy.operations.watch(operationId, { everyMs: 100 })) done = operation.done;
    const seconds = (performance.now() - startedAt) / 1_000;
    return [`${Math.round(lastAt)} ms`, count(last - atBound), count(done), `${seconds.toFixed(1)} s`];
  },
};

export const scenarios: readonly Scenario[] = [
  backlogScenario({
    name: "neighbour",
    tasks: 100_000,
    single: "another account submits one",
    mechanism: "fair order",
    howWithout: "source edit: accounts and flows have the rank of their oldest task",
    singlesAreOfAnotherAccount: true,
  }),
  downstream,
  backlogScenario({
    name: "backlog",
    tasks: 1_000_000,
    single: "another account submits one",
    mechanism: "look-ahead",
    howWithout: "setting: a look-ahead of 10,000 tasks; source edit: nothing is parked",
    singlesAreOfAnotherAccount: true,
    lookAheadTasksMax: 10_000,
  }),
  backlogScenario({
    name: "priority",
    tasks: 100_000,
    single: "the same function gets an urgent one beside low ones",
    mechanism: "urgency",
    howWithout: "source edit: every priority has the patience 0",
    singlesAreOfAnotherAccount: false,
    priorities: ["low", "urgent"],
  }),
  batchControl,
];

export const shared = `one agent with ${slots} slots, ${instanceConcurrency} attempts in an instance`;
