// An attempt is over: what that writes, and what it frees.
import { slotCost } from "@sluice/core";
import { type AttemptEnded, OutcomeKind } from "@sluice/protocol";
import type { AgentLink } from "../agents/link.ts";
import { leaveAgent, type PartitionContext, pushWrite, settleCost } from "./context.ts";
import type { ActiveTask } from "./memory.ts";
import { lostWrite, outcomeWrite } from "./outcome.ts";

/** The agent that had the attempt is gone. */
export function loseTask(context: PartitionContext, task: ActiveTask): void {
  const write = lostWrite(task, factsOf(context, task));
  context.gates.onEnded(task, { kind: OutcomeKind.LOST, retryAfterMs: 0, errorType: "" });
  leaveAgent(task);
  task.state = "settling";
  pushWrite(context, { write, confirmTo: undefined });
}

/** An attempt ended: its outcome goes to the store. */
export function endTask(
  context: PartitionContext,
  link: AgentLink,
  task: ActiveTask,
  ended: {
    readonly outcome: NonNullable<AttemptEnded["outcome"]>;
    readonly startedAtMs: number;
    readonly instanceId: string;
  },
): void {
  leaveAgent(task);
  context.order.unblock(task.origin);
  context.gates.onEnded(task, ended.outcome);
  task.state = "settling";
  const { outcome, startedAtMs, instanceId } = ended;
  if (task.function && startedAtMs > 0 && outcome.endedAtMs >= startedAtMs) {
    context.pace.ran(task.function.revision, outcome.endedAtMs - startedAtMs);
  }
  const cost = startedAtMs > 0 ? slotCost(outcome.endedAtMs - startedAtMs) : 1;
  settleCost(context, task, cost);
  context.costs.ran(task.flowKey, cost);
  const write =
    outcome.kind === OutcomeKind.LOST
      ? lostWrite(task, factsOf(context, task))
      : outcomeWrite(
          task,
          {
            outcome,
            startedAt: startedAtMs > 0 ? startedAtMs : undefined,
            agentId: link.agentId,
            instanceId: instanceId === "" ? undefined : instanceId,
          },
          factsOf(context, task),
        );
  if (outcome.kind === OutcomeKind.STOPPED && !task.stopMarked) context.metrics.preempted.inc();
  context.metrics.ended.inc({ kind: kindNames.get(outcome.kind) ?? "UNSPECIFIED" });
  pushWrite(context, { write, confirmTo: link });
}

/** What the outcome of an attempt is decided by. */
function factsOf(context: PartitionContext, task: ActiveTask) {
  return {
    now: context.clock.now(),
    // A function that is gone gets no retries.
    maxAsyncRetryAttempts: task.function?.settings.maxAsyncRetryAttempts ?? 0,
    lostAttemptsMax: context.config.lostAttemptsMax,
    random: context.random,
  };
}

const kindNames = new Map<OutcomeKind, string>(Object.entries(OutcomeKind).map(([name, kind]) => [kind, name]));
