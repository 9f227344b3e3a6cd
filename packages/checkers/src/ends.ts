// Why a task ended as it did: each final status but Succeeded has causes, and one of them was there.
import { isFinal, type Task } from "@sluice/core";
import type { AgentLife, Execution, History } from "./history.ts";
import { groupBy } from "./rows.ts";
import { isSelected } from "./stops.ts";

/** The machine's errors, which say nothing of how the handler has ended. */
const ofAgents: ReadonlySet<string> = new Set(["AgentLost", "AgentError"]);

/**
 * An expiry is the store's time, which an owner knows to half a round trip, and carries on by a clock that may be 2 % off while
 * the store does not answer.
 */
const earlyMs = 1_000;

/** Whatever is known of one task. */
interface Facts {
  readonly executions: readonly Execution[];
  readonly history: History;
  /** Names of functions that were there all the time. */
  readonly known: ReadonlySet<string>;
}

/** For each row without a cause: what is missing. Of what was not recorded, nothing is said. */
export function unexplained(history: History): { readonly seq: number; readonly message: string }[] {
  const { rows = [], executions = [], functions = [] } = history;
  const runs = groupBy(executions, ({ seq }) => seq);
  const known = new Set(functions.map((one) => `${one.account}/${one.function}`));
  return rows.flatMap((row) => {
    const { seq, status, attempt } = row;
    if (!isFinal(status)) return [];
    const ofAttempt = (runs.get(seq) ?? []).filter((execution) => execution.attempt === attempt);
    const missing = missingOf(row, { executions: ofAttempt, history, known });
    return missing === undefined
      ? []
      : [{ seq, message: `task ${seq} is ${status} at attempt ${attempt}, ${missing}` }];
  });
}

function missingOf(row: Task, { executions, history, known }: Facts): string | undefined {
  const { status, error, endedAt = Number.POSITIVE_INFINITY, expiresAt } = row;
  const { stops, store, lives, wallStart } = history;
  const name = { account: row.accountId, function: row.functionName, taskId: row.taskId, tags: row.tags };
  // A tool that sees handlers from outside may think that one has ended well which its agent never heard of.
  const hasEndedWell = store !== undefined && executions.some(({ how }) => how === "ok");
  switch (status) {
    case "Stopped":
      if (stops === undefined || stops.some((stop) => stop.at + wallStart <= endedAt && isSelected(name, stop))) return;
      return "and nobody asked for that";
    case "Expired":
      if (expiresAt === undefined) return "and had no expiry";
      return endedAt < expiresAt - earlyMs ? `${expiresAt - endedAt} ms before its expiry` : undefined;
    case "Failed":
      if (error === undefined) return "without an error";
      if (error.type === "AgentLost" && lives && !lives.some((life) => isGone(life, executions)))
        return "as lost, and its agent lived on";
      if (hasEndedWell && !ofAgents.has(error.type)) return `by ${error.type}, and its handler ended well`;
      return;
    case "Invalid":
      if (error === undefined) return "without an error";
      if (error.type === "FunctionNotFound" && known.has(`${row.accountId}/${row.functionName}`))
        return "and its function was there";
      if (hasEndedWell) return "and its handler ended well";
      return;
    default:
      return;
  }
}

/** Of an attempt that was never started, or not seen: any agent. */
function isGone({ agentId, downAt }: AgentLife, executions: readonly Execution[]): boolean {
  return downAt !== undefined && (executions.length === 0 || executions.some((one) => one.agentId === agentId));
}
