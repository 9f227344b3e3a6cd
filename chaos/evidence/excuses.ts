// What may take an attempt from a task: the death of its agent, a stop that was asked for, a full disk. Each excuses what it can
// have caused, and nothing else.
import type { Execution } from "@sluice/checkers";
import type { FaultMark } from "../contract.ts";
import type { Facts } from "./facts.ts";

export interface Excuses {
  /**
   * Its agent had died, or was fenced, by then, and perhaps nobody has learned how the execution had ended: it had not, or
   * only in the last moments before a blow, or in the time of silence before a fence.
   */
  isGone(execution: Execution, at: number): boolean;
  /** Its agent was told to leave, and gave it back. */
  isHandedBack(execution: Execution): boolean;
  /** An agent died, was told to leave, or had a full disk meanwhile. */
  hadTrouble(from: number, until: number): boolean;
}

/** An end reaches the journal within milliseconds; the rest is for machines that are busy, and for the moment of the death. */
const lastMomentsMs = 1_000;
/** An agent that nobody hears is fenced, or found dead, within so long; what ended meanwhile may not have been heard either. */
const silenceMs = 30_000;
/** Schedulers list agents every 2 s; until then they may give something to one that was fenced. */
const listedMs = 5_000;
const blowKinds: ReadonlySet<string> = new Set(["crash", "stop", "upgrade"]);
const leavingKinds: ReadonlySet<string> = new Set(["stop", "upgrade"]);

export function excusesOf({ lives, marks }: Pick<Facts, "lives" | "marks">): Excuses {
  const agentIds = new Set(lives.map(({ agentId }) => agentId));
  const lifeOf = new Map(lives.map((life) => [`${life.agentId}/${life.incarnation()}`, life]));
  const leavings = marks.filter(({ kind, where }) => leavingKinds.has(kind) && agentIds.has(where));
  const fullDisks = marks.filter(({ kind, where }) => kind === "disk-full" && agentIds.has(where));
  const blows = marks.filter(({ kind }) => blowKinds.has(kind));

  function isGone({ agentId, incarnation, endedAt, how }: Execution, at: number): boolean {
    const downAt = lifeOf.get(`${agentId}/${incarnation}`)?.downAt;
    if (downAt === undefined || downAt > at) return false;
    if (endedAt === undefined || how === "killed") return true;
    const isBlow = blows.some((mark) => mark.where === agentId && overlaps(mark, downAt, downAt + lastMomentsMs));
    return endedAt >= downAt - (isBlow ? lastMomentsMs : silenceMs);
  }

  return {
    isGone,
    isHandedBack: ({ agentId, endedAt, how }) =>
      endedAt !== undefined &&
      (how === "stopped" || how === "killed") &&
      leavings.some((mark) => mark.where === agentId && overlaps(mark, endedAt, endedAt)),
    hadTrouble: (from, until) =>
      lives.some(
        ({ downAt, seenDownAt = downAt }) =>
          downAt !== undefined && seenDownAt !== undefined && seenDownAt + listedMs >= from && downAt <= until,
      ) || [...leavings, ...fullDisks].some((mark) => overlaps(mark, from, until)),
  };
}

function overlaps(
  { from: begin, until: end = Number.POSITIVE_INFINITY }: FaultMark,
  from: number,
  until: number,
): boolean {
  return begin <= until && end >= from;
}
