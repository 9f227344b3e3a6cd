// What happened, in the words of the checkers.
import {
  type AgentLife,
  type Execution,
  emptyHistory,
  type FunctionFacts,
  type History,
  type LimitSet,
  type Observation,
  type Rest,
  type View,
} from "@sluice/checkers";
import type { Task } from "@sluice/core";
import { retriesMax } from "./deploy.ts";
import type { LedgerExecution } from "./ledger.ts";
import { limitedFlows } from "./plan.ts";
import type { Submitted } from "./submissions.ts";

export interface Recorded {
  readonly submitted: readonly Submitted[];
  readonly observations: readonly Observation[];
  readonly views: readonly View[];
  readonly executions: readonly LedgerExecution[];
  /** Of these executions, those that run at the end. */
  readonly running: readonly LedgerExecution[];
  readonly lives: readonly AgentLife[];
  readonly rows: readonly Task[];
  /** When functions had their limits. */
  readonly deployedAt: number;
  /** Undefined: it could not be read. */
  readonly rest: Rest | undefined;
  readonly bugs: readonly string[];
  readonly wallStart: number;
}

export function historyOf(recorded: Recorded): History {
  const { submitted, observations, views, executions, lives, rows, deployedAt, rest, bugs, wallStart } = recorded;
  const running = new Set(recorded.running);
  return {
    ...emptyHistory(),
    submissions: submitted.map(({ account, function: name, taskId, delayMs, expiresAfterMs, record }) => {
      const { askedAt, answer } = record;
      return { account, function: name, taskId, token: taskId, delayMs, expiresAfterMs, askedAt, answer };
    }),
    observations,
    views,
    functions: factsOf(submitted),
    executions: executions
      .map((execution) => executionOf(execution, lives, running.has(execution)))
      .sort((a, b) => a.startedAt - b.startedAt),
    rows,
    lives,
    limits: limitsFrom(deployedAt),
    rest,
    bugs,
    wallStart,
  };
}

function factsOf(submitted: readonly Submitted[]): FunctionFacts[] {
  const flows = new Map(submitted.map(({ account, function: name }) => [`${account}/${name}`, { account, name }]));
  return [...flows.values()].map(({ account, name }) => {
    return { account, function: name, maxAsyncRetryAttempts: retriesMax };
  });
}

function limitsFrom(at: number): LimitSet[] {
  return limitedFlows.map((flow) => ({ at, ...flow, rateMax: 0, rateBurst: 0 }));
}

/** An execution whose process died ended when it was last seen: what is shown to overlap, did. */
function executionOf(execution: LedgerExecution, lives: readonly AgentLife[], isRunning: boolean): Execution {
  const { seq, attempt, epoch, agentId, startedAt, seenAt, how } = execution;
  const life = lives.findLast((one) => one.agentId === agentId && one.upAt <= startedAt);
  return {
    seq,
    attempt,
    epoch,
    agentId,
    incarnation: life?.incarnation() ?? 0,
    startedAt,
    endedAt: isRunning ? undefined : seenAt,
    how: isRunning ? undefined : how === undefined || how === "crashed" ? "killed" : how,
  };
}
