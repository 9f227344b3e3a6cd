// What accounts do to many of their tasks at once, while everything fails: they pause and resume functions, themselves and
// filters, and stop and delete by filter. In the end everything is resumed, and every operation ends.
import type { StopAsked } from "@sluice/checkers";
import { AppError } from "@sluice/core";
import { OperationKind, OperationState, type PauseTarget, TaskSelector, TaskStatus } from "@sluice/protocol";
import type { Dice } from "./dice.ts";
import type { World } from "./world.ts";

export interface BatchControlOptions {
  readonly world: World;
  readonly dice: Dice;
  readonly account: string;
  readonly functions: readonly string[];
  readonly untilMs: number;
  /** What it asks for is added. */
  readonly stops: StopAsked[];
}

const triesMax = 400;
const lateMs = 12_000;
/** Operations of a run. Each takes away what others could find something wrong about. */
const operationsMax = 3;

/** Resolves when nothing is paused and every operation has ended. */
export async function controlBatches(options: BatchControlOptions): Promise<void> {
  const { world, dice, account, functions, untilMs, stops } = options;
  const { clock } = world;
  const api = world.operations(`control-${account}`, account);
  const started: string[] = [];
  const context = () => ({ signal: new AbortController().signal, timeoutMs: 5_000 });

  /** Until it is answered: calls of an account that is told nothing are repeated. */
  async function insist<T>(call: () => Promise<T>): Promise<T> {
    for (let tries = 0; ; tries++) {
      try {
        return await call();
      } catch (cause) {
        if (!(cause instanceof AppError) || tries >= triesMax) throw cause;
        await clock.sleep(dice.between(100, 1_000));
      }
    }
  }

  async function pause(): Promise<void> {
    const target = drawTarget(dice, functions);
    try {
      await api.pause({ target, reason: "" }, context());
      world.counters.add("paused");
      await clock.sleep(dice.between(500, dice.pick([3_000, 10_000])));
      if (dice.chance(0.7)) await api.resume({ pauseId: "", target }, context());
    } catch (cause) {
      if (!(cause instanceof AppError)) throw cause;
    }
  }

  async function start(): Promise<void> {
    const operationId = `${account}-${started.length + 1}`;
    started.push(operationId);
    const kind = dice.pick([OperationKind.STOP, OperationKind.DELETE]);
    const filter = drawFilter(dice, functions);
    const { function: name, tag, taskIdPrefix } = filter;
    stops.push({
      at: clock.monotonic(),
      account,
      function: name || undefined,
      tag: tag || undefined,
      taskIdPrefix: taskIdPrefix || undefined,
    });
    try {
      await api.startOperation({ kind, filter, operationId, accountId: "" }, context());
      if (dice.chance(0.15)) await api.cancelOperation({ operationId }, context());
    } catch (cause) {
      if (!(cause instanceof AppError)) throw cause;
    }
  }

  for (;;) {
    await clock.sleep(dice.between(1_000, dice.pick([5_000, 15_000])));
    if (clock.monotonic() >= untilMs) break;
    if (dice.chance(0.3) && started.length < operationsMax) await start();
    else await pause();
  }
  await resumeAll();
  // A call of which nothing was heard may be done when an api-server that froze goes on, or have been on its way for so long.
  while (world.processes.some(({ frozenUntil }) => frozenUntil > clock.monotonic())) await clock.sleep(1_000);
  await clock.sleep(lateMs);
  await resumeAll();
  for (const operationId of started) {
    for (let looks = 0; ; looks++) {
      const state = await insist(() => stateOf(operationId));
      if (state !== OperationState.RUNNING) break;
      if (looks >= triesMax) throw new Error(`operation ${operationId} does not end`);
      await clock.sleep(1_000);
    }
  }

  async function resumeAll(): Promise<void> {
    for (const { pauseId } of (await insist(() => api.listPauses({}, context()))).pauses) {
      await insist(() => unlessGone(api.resume({ pauseId, target: undefined }, context())));
    }
  }

  /** Undefined: it was never started. */
  async function stateOf(operationId: string): Promise<OperationState | undefined> {
    return (await unlessGone(api.getOperation({ operationId }, context())))?.state;
  }
}

/** Undefined: there is no such thing, also because an earlier call that was not answered took it away. */
async function unlessGone<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (cause) {
    if (cause instanceof AppError && cause.code === "not_found") return undefined;
    throw cause;
  }
}

function drawTarget(dice: Dice, functions: readonly string[]): PauseTarget {
  const target = dice.pick<PauseTarget["target"]>([
    { $case: "function", value: dice.pick(functions) },
    { $case: "account", value: {} },
    { $case: "tasks", value: TaskSelector.fromPartial({ tag: dice.pick(["blue", "green"]) }) },
    {
      $case: "tasks",
      value: TaskSelector.fromPartial({ function: dice.pick(functions), priority: dice.between(1, 4) as 1 }),
    },
  ]);
  return { target, accountId: "" };
}

/** Rarely everything. */
function drawFilter(dice: Dice, functions: readonly string[]): TaskSelector {
  return TaskSelector.fromPartial({
    ...(dice.chance(0.6) && { function: dice.pick(functions) }),
    ...(dice.chance(0.3) && { tag: dice.pick(["blue", "green"]) }),
    ...(dice.chance(0.3) && { taskIdPrefix: `t${dice.between(1, 9)}` }),
    ...(dice.chance(0.3) && { status: dice.pick([TaskStatus.ENQUEUED, TaskStatus.RETRYING, TaskStatus.RUNNING]) }),
  });
}
