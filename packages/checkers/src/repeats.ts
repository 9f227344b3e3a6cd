// Attempts that were repeated although nothing had failed: such a repetition counts for nobody, so it must have been called for.
// The handler met flow control; or its agent was shut down; or the agent had to make room for a task that is more urgent; or a
// client had asked for a stop, which ends the task before it runs again.
import type { AgentEvent, AgentLife, Execution, History, Inserted, Written } from "./history.ts";
import { groupBy, insertsOf } from "./rows.ts";
import { isSelected } from "./stops.ts";

type Dispatched = Extract<AgentEvent, { kind: "dispatched" }>;

interface Facts {
  readonly row: Inserted;
  readonly event: Written;
  readonly executions: readonly Execution[];
  /** Where it was sent. */
  readonly sent: readonly Dispatched[];
}

/** Nothing, where it was not recorded who asked for what. */
export function causeless(history: History): { readonly seq: number; readonly message: string }[] {
  const { store, agents, lives, stops, executions = [] } = history;
  if (!store || !agents || !lives || !stops) return [];
  const inserts = insertsOf(store);
  const runs = groupBy(executions, attemptOf);
  const dispatched = agents.filter((event) => event.kind === "dispatched");
  const sends = groupBy(dispatched, attemptOf);
  const urgent = urgentOf(dispatched, inserts, runs);
  return store.flatMap((event) => {
    if (event.kind !== "written" || !event.applied || event.write.kind !== "park") return [];
    const { seq, attempt, nextAttempt, reason, error } = event.write;
    const row = inserts.get(seq);
    if (reason !== "throttle" || nextAttempt <= attempt || !row) return [];
    const key = attemptOf({ seq, attempt });
    const facts: Facts = { row, event, executions: runs.get(key) ?? [], sent: sends.get(key) ?? [] };
    const isCalledFor =
      facts.executions.some(({ how }) => how === "throttled") ||
      stops.some((stop) => stop.at <= event.at && isSelected(row, stop)) ||
      lives.some((life) => hasShutDown(life, facts)) ||
      agents.some(
        (other) => other.kind === "asked for room" && hasCome(other, facts) && isForMoreUrgent(other, facts),
      ) ||
      urgent.some((other) => other.startedAt > startOf(facts, other) && isForMoreUrgent(other, facts));
    if (isCalledFor) return [];
    const where = facts.sent.map(({ agentId }) => agentId).join(", ");
    const message = `task ${seq} attempt ${attempt} on ${where} was put back at ${event.at} ms (${error?.type ?? "no error"}), and nothing had called for that`;
    return [{ seq, message }];
  });
}

/** An agent that was dead has forgotten what it had. */
interface Place {
  readonly agentId: string;
  readonly incarnation: number;
}

interface Urgent extends Place {
  readonly at: number;
  readonly priority: number;
  /** Infinity: never. */
  readonly startedAt: number;
}

/** What was sent to an agent, and may have found no instance there. */
function urgentOf(
  dispatched: readonly Dispatched[],
  inserts: ReadonlyMap<number, Inserted>,
  runs: ReadonlyMap<string, readonly Execution[]>,
): Urgent[] {
  return dispatched.flatMap((event) => {
    const { at, agentId, incarnation, seq } = event;
    const priority = inserts.get(seq)?.priority;
    if (priority === undefined || priority > 1) return [];
    const startedAt = runs.get(attemptOf(event))?.[0]?.startedAt ?? Number.POSITIVE_INFINITY;
    return [{ at, agentId, incarnation, priority, startedAt }];
  });
}

/** What comes later is not stopped for it: an agent answers at once. */
function hasCome({ at }: { readonly at: number }, { sent }: Facts): boolean {
  return (sent[0]?.at ?? 0) <= at;
}

function isForMoreUrgent(asked: Place & { readonly at: number; readonly priority: number }, facts: Facts): boolean {
  const isThere = facts.sent.some((one) => isSame(one, asked));
  return isThere && asked.priority < facts.row.priority && asked.at <= endOf(facts, asked);
}

function hasShutDown({ agentId, upAt, stoppedAt, downAt }: AgentLife, facts: Facts): boolean {
  if (stoppedAt === undefined) return false;
  return facts.sent.some(
    (one) =>
      one.agentId === agentId &&
      one.at >= upAt &&
      (downAt === undefined || one.at <= downAt) &&
      stoppedAt <= endOf(facts, one),
  );
}

/** Of the attempt in that place, when it waited or ran there: an earlier agent may have had it, and have died with the outcome. */
function startOf({ executions, sent }: Facts, place: Place): number {
  return executions.find((one) => isSame(one, place))?.startedAt ?? sent.find((one) => isSame(one, place))?.at ?? 0;
}

function endOf({ executions, event }: Facts, place: Place): number {
  return executions.findLast((one) => isSame(one, place))?.endedAt ?? event.at;
}

function isSame(one: Place, other: Place): boolean {
  return one.agentId === other.agentId && one.incarnation === other.incarnation;
}

function attemptOf({ seq, attempt }: { readonly seq: number; readonly attempt: number }): string {
  return `${seq}/${attempt}`;
}
