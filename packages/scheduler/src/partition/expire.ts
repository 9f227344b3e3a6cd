// Loop: ends what has expired before its turn came. Rows that wait are looked through page by page, in the order of their
// announcement, one priority after the other; parked ones are found exactly. What is found is ended by number, thousands at a
// time, and forgotten, its rows unread: some 35,000 per second on two cores (`bench/flow/expiry.ts`).
//
//   page ──few have expired──▶ they end ──▶ pause ──▶ next page, from the first one again behind the last
//    ▲ └──many have: they end, and the next pages are looked at at once, until several in a row had few: what expires
//    │     together may be before the page that was first to have some, behind priorities of which nothing waits
//    └── a task had expired when its turn came: the first page of its priority, at once
//
// A page is 10,000 rows and 5 ms of the database. So a task that expires among a million is ended within two minutes, or at its
// turn if that comes sooner; it never runs.
import { type Loop, type Priority, priorities, type Seq } from "@sluice/core";
import { changedTopic } from "@sluice/queue";
import type { Announced, Stale } from "@sluice/store";
import { restoreAll, untilKnown } from "./bulk.ts";
import type { PartitionContext } from "./context.ts";
import { every } from "./every.ts";
import { ackFinished } from "./pull.ts";
import { dropFinished } from "./turn.ts";

const pageMax = 10_000;
/** Of one statement: some 150 ms, for which it holds the floor. */
const endMax = 5_000;
/** So many of a page are worth looking at the next ones at once. A trickle that is spread over the pages is not. */
const manyMin = 100;
/** Numbers in one hint. */
const hintMax = 1_000;

const beginning: Announced = { announcedAt: 0, seq: 0 };

export function expireLoop(context: PartitionContext): Loop {
  let priority: Priority = 0;
  let after = beginning;

  function begin(next: number): void {
    priority = (next % priorities.length) as Priority;
    after = beginning;
  }

  return every(
    context,
    "expire",
    (signal) => context.wakeExpire.wait(signal, context.config.marksEveryMs),
    async (signal) => {
      let total = 0;
      let pagesToGo = 1;
      if (context.expiredAtTurn !== undefined) begin(context.expiredAtTurn);
      context.expiredAtTurn = undefined;
      while (pagesToGo > 0 && !signal.aborted && !context.draining) {
        const found = await context.store.lanes.expired(context.owner, { priority, after, limit: pageMax });
        if (found === "stale") return found;
        const ended = await endAll(context, found.seqs, signal);
        if (ended === "stale") return ended;
        total += ended;
        if (found.last) after = found.last;
        else begin(priority + 1);
        pagesToGo = ended < manyMin ? pagesToGo - 1 : priorities.length + 1;
      }
      if (total * 4 > context.order.size) dropFinished(context);
      return undefined;
    },
  );
}

/** Those that nobody is at work on. Returns how many have ended. */
async function endAll(context: PartitionContext, seqs: readonly Seq[], signal: AbortSignal): Promise<number | Stale> {
  let count = 0;
  for (let start = 0; start < seqs.length; start += endMax) {
    const ended = await end(context, seqs.slice(start, start + endMax), signal);
    if (ended === "stale") return ended;
    count += ended;
  }
  return count;
}

async function end(context: PartitionContext, seqs: readonly Seq[], signal: AbortSignal): Promise<number | Stale> {
  const { memory, owner, suspects } = context;
  const aside = memory.setAside(seqs.filter((seq) => !suspects.has(seq)));
  if (aside.length === 0) return 0;
  const left = new Set(aside);
  try {
    // An agent that has not answered may be running what an earlier owner dispatched.
    const stampMin = context.unanswered.size > 0 ? owner.epoch : 0;
    const { lanes } = context.store;
    const ended = await untilKnown(context, signal, () => lanes.expire(owner, aside, { stampMin }));
    if (ended === "stale") return ended;
    if (ended === undefined) return 0;
    for (const { seq } of ended) {
      left.delete(seq);
      memory.forget(seq);
    }
    if (ended.length === 0) return 0;
    context.metrics.settled.inc({ status: "Expired" }, ended.length);
    ackFinished(context);
    hint(
      context,
      ended.map(({ seq }) => seq),
    );
    return ended.length;
  } finally {
    // Their guards did not hold: their rows are read at their turn.
    restoreAll(context, left);
  }
}

function hint({ signals }: PartitionContext, seqs: readonly Seq[]): void {
  for (let start = 0; start < seqs.length; start += hintMax) {
    signals.send(changedTopic, seqs.slice(start, start + hintMax).join(","));
  }
}
