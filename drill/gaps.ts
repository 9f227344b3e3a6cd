// How long tasks waited because their partition changed its owner.
//
// An epoch is one owner of one partition. From one epoch of a lane to the next, the gap is the time in which a task could have
// run and none was started: from the last start of the owner before, or from the acceptance of the first task that the new
// owner got, if that is later, until the new owner's first start.
import type { Execution } from "@sluice/checkers";
import type { Task } from "@sluice/core";
import type { SubmissionRecord } from "../chaos/contract.ts";
import { waitsForItsLimit } from "../chaos/evidence/facts.ts";

export interface GapFacts {
  readonly submissions: readonly SubmissionRecord[];
  readonly executions: readonly Execution[];
  /** By number. */
  readonly rows: ReadonlyMap<number, Pick<Task, "queue" | "lane" | "accountId" | "taskId">>;
}

interface Start {
  readonly at: number;
  readonly acceptedAt: number;
  readonly queue: string;
  readonly lane: number;
  readonly epoch: number;
}

/** In ms, one for every change of an owner that had started tasks, to one that starts some. */
export function handOffGaps(facts: GapFacts): number[] {
  const starts = startsOf(facts);
  const owners = new Map<string, Start[]>();
  for (const start of starts) {
    const key = `${start.queue}/${start.epoch}`;
    const known = owners.get(key);
    if (known) known.push(start);
    else owners.set(key, [start]);
  }
  return [...owners.values()].flatMap((mine) => {
    const [first] = mine;
    if (!first) return [];
    const lanes = new Set(mine.map(({ lane }) => lane));
    const before = starts.filter(
      ({ queue, epoch, lane }) => queue === first.queue && epoch < first.epoch && lanes.has(lane),
    );
    if (before.length === 0) return [];
    const lastStart = Math.max(...before.map(({ at }) => at));
    const firstWait = Math.min(...mine.map(({ acceptedAt }) => acceptedAt));
    return [Math.max(0, first.at - Math.max(lastStart, firstWait))];
  });
}

/** From acceptance to start, of what was started before `until`; in ms. */
export function startDelays(facts: GapFacts, until: number): number[] {
  const before = startsOf(facts).filter(({ at }) => at < until);
  return before.map(({ at, acceptedAt }) => Math.max(0, at - acceptedAt));
}

/** Of first attempts that wait for nothing but their turn, in the order of time. */
function startsOf({ submissions, executions, rows }: GapFacts): Start[] {
  const acceptances = new Map(
    submissions
      .filter(({ kind, firstAnswer }) => kind !== "delayed" && !waitsForItsLimit(kind) && firstAnswer === "accepted")
      .map(({ account, taskId, answeredAt }) => [`${account}/${taskId}`, answeredAt]),
  );
  return executions
    .filter(({ attempt }) => attempt === 1)
    .flatMap(({ seq, epoch, startedAt }) => {
      const row = rows.get(seq);
      const acceptedAt = row && acceptances.get(`${row.accountId}/${row.taskId}`);
      return row && acceptedAt !== undefined
        ? [{ at: startedAt, acceptedAt, queue: row.queue, lane: row.lane, epoch }]
        : [];
    })
    .sort((a, b) => a.at - b.at);
}
