// What may take an attempt from a task: the death of its agent, a stop that was asked for, a full disk. Each excuses what it can
// have caused, and nothing else.
import type { Execution } from "@sluice/checkers";
import type { FaultMark } from "../contract.ts";
import type { Facts } from "./facts.ts";

export interface Excuses {
  /**
   * Its agent had died, or was fenced, by then, and nobody could learn how the execution had ended: it had not, or only in
   * the last moments before the death, or while the agent was cut off until others had given it up.
   */
  isGone(execution: Execution, at: number): boolean;
  /** Its agent was told to leave, and gave it back. */
  isHandedBack(execution: Execution): boolean;
  /** An agent died, was told to leave, or had a full disk meanwhile. */
  hadTrouble(from: number, until: number): boolean;
}

/** An end reaches the journal within milliseconds; the rest is for machines that are busy, and for the moment of the death. */
const lastMomentsMs = 1_000;
/** Nobody gives an agent up that was silent for less. */
const silenceMs = 20_000;
/** After a fault is mended, owners and agents find each other again: a lease, and what follows it. */
const recoveryMs = 15_000;
const leavingKinds: ReadonlySet<string> = new Set(["stop", "upgrade"]);

export function excusesOf({ lives, marks }: Pick<Facts, "lives" | "marks">): Excuses {
  const agentIds = new Set(lives.map(({ agentId }) => agentId));
  const lifeOf = new Map(lives.map((life) => [`${life.agentId}/${life.incarnation()}`, life]));
  const leavings = marks.filter(({ kind, where }) => leavingKinds.has(kind) && agentIds.has(where));
  const fullDisks = marks.filter(({ kind, where }) => kind === "disk-full" && agentIds.has(where));

  function isGone({ agentId, incarnation, endedAt, how }: Execution, at: number): boolean {
    const downAt = lifeOf.get(`${agentId}/${incarnation}`)?.downAt;
    if (downAt === undefined || downAt > at) return false;
    if (endedAt === undefined || how === "killed" || endedAt >= downAt - lastMomentsMs) return true;
    const inTheWay = marks.filter((mark) => concerns(mark, agentId));
    if (!isCovered({ from: endedAt, until: downAt }, inTheWay)) return false;
    // One that is back sooner reports what its journal has.
    const silentFrom = Math.min(endedAt, ...inTheWay.filter((mark) => overlaps(mark, endedAt, endedAt)).map(fromOf));
    const backAt = Math.min(...lives.filter((life) => life.agentId === agentId && life.upAt > downAt).map(upAtOf));
    return backAt - silentFrom >= silenceMs;
  }

  return {
    isGone,
    isHandedBack: ({ agentId, endedAt, how }) =>
      endedAt !== undefined &&
      (how === "stopped" || how === "killed") &&
      leavings.some((mark) => mark.where === agentId && overlaps(mark, endedAt, endedAt)),
    hadTrouble: (from, until) =>
      lives.some(({ downAt }) => downAt !== undefined && downAt >= from && downAt <= until) ||
      [...leavings, ...fullDisks].some((mark) => overlaps(mark, from, until)),
  };
}

/** What happens to another agent keeps this one from nothing. */
function concerns({ where }: FaultMark, agentId: string): boolean {
  const agents = where.split(" > ").filter((part) => part.startsWith("agent-"));
  return agents.length === 0 || agents.includes(agentId);
}

/** Whether one fault after the other stood in the way all the time. */
function isCovered({ from, until }: { readonly from: number; readonly until: number }, marks: readonly FaultMark[]) {
  let reached = from;
  for (const mark of [...marks].sort((a, b) => a.from - b.from)) {
    if (mark.from <= reached + lastMomentsMs) reached = Math.max(reached, untilOf(mark) + recoveryMs);
  }
  return reached >= until;
}

function overlaps(mark: FaultMark, from: number, until: number): boolean {
  return mark.from <= until && untilOf(mark) >= from;
}

function fromOf({ from }: FaultMark): number {
  return from;
}

function untilOf({ until }: FaultMark): number {
  return until ?? Number.POSITIVE_INFINITY;
}

function upAtOf({ upAt }: { readonly upAt: number }): number {
  return upAt;
}
