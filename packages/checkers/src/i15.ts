// I15: low priority is delayed, never starved. Of two tasks of one flow and lane that both wait, the one with the smaller
// urgency (enqueued, plus the patience of its priority) is sent first. How far that may slip is stated here; it must hold
// whatever the mix, so a task of low priority is passed only by what came within its patience. One that is parked because too
// much waits for its owner's memory waits as well; one that is parked for another reason does not.
import type { EpochMs, Lane, Priority } from "@sluice/core";
import { createChecker } from "./checker.ts";
import type { AgentEvent, CalmPhase, Raised, StoreEvent, Violation } from "./history.ts";
import { covers } from "./lanes.ts";
import { groupBy, movedIn } from "./rows.ts";

const invariant = "I15";

/**
 * For so long in a calm phase a task that could go may be passed: its message comes through the consumer of its priority, and
 * once more to each new owner of its lane. While things fail there is no bound: its message may be lost again and again.
 */
const slackMs = 2_000;

/** What comes to agents so close together was sent at the same time, over links of which one is slower. */
const sameTimeMs = 200;

/** Tasks that were submitted within so long may share a message, which has one place in the order. */
const sharedMs = 5_000;

/** From urgent to low; stated here, so that a change of what schedulers do is seen. */
const patienceMs: Readonly<Record<Priority, number>> = { 0: 0, 1: 10_000, 2: 60_000, 3: 600_000 };

export const i15 = createChecker({
  invariant,
  about: "A low priority delays a task by its patience, and never starves it.",
  needs: ["store", "agents", "calm"],
  check: ({ store, agents, calm }) => {
    const waits = waitsOf(store, agents);
    const raises = store.filter((event) => event.kind === "raised");
    return [...groupBy(waits, ({ group }) => group).values()].flatMap((same) => passedIn(same, { calm, raises }));
  },
});

/** The first attempt of a task, from when it could go until it was sent. */
interface Wait {
  readonly seq: number;
  readonly group: string;
  readonly queue: string;
  readonly lane: Lane;
  readonly urgency: EpochMs;
  readonly from: number;
  readonly until: number;
}

function waitsOf(store: readonly StoreEvent[], agents: readonly AgentEvent[]): Wait[] {
  const sent = new Map<number, number>();
  for (const event of agents) {
    if (event.kind === "dispatched" && !sent.has(event.seq)) sent.set(event.seq, event.at);
  }
  const ready = new Map<number, number>();
  const overflown = new Set<number>();
  const moved = movedIn(store);
  for (const event of store) {
    if (event.kind === "inserted" && event.dueAt === undefined) ready.set(event.seq, event.at);
    if (event.kind === "overflown") for (const seq of event.seqs) overflown.add(seq);
    if (event.kind !== "unparked") continue;
    for (const seq of event.seqs) {
      // What did not fit into memory has waited all the same.
      const hasWaited = overflown.delete(seq);
      if (!hasWaited && event.at <= (sent.get(seq) ?? Number.POSITIVE_INFINITY)) ready.set(seq, event.at);
    }
  }
  return store.flatMap((event) => {
    // One that was given to another lane waits among others there.
    if (event.kind !== "inserted" || moved.has(event.seq)) return [];
    const { seq, account, function: name, queue, lane, enqueuedAt, priority } = event;
    const from = ready.get(seq);
    const until = sent.get(seq);
    if (from === undefined || until === undefined) return [];
    const urgency = enqueuedAt + patienceMs[priority];
    return [{ seq, group: `${account}/${name} ${queue}/${lane}`, queue, lane, urgency, from, until }];
  });
}

interface Times {
  readonly calm: readonly CalmPhase[];
  readonly raises: readonly Raised[];
}

function passedIn(waits: readonly Wait[], times: Times): Violation[] {
  // In the order in which they were sent, each is compared with the least urgent one that went before it.
  const sorted = [...waits].sort((a, b) => a.until - b.until);
  return sorted.flatMap((wait, index) => {
    const passer = sorted.slice(0, index).find((other) => hasPassed(other, wait, times));
    if (!passer) return [];
    const message = `task ${wait.seq} could go from ${wait.from} ms, and was passed by task ${passer.seq} at ${passer.until} ms, which was ${passer.urgency - wait.urgency} ms less urgent`;
    return [{ invariant, seq: wait.seq, message }];
  });
}

function hasPassed(passer: Wait, wait: Wait, { calm, raises }: Times): boolean {
  if (passer.until + sameTimeMs >= wait.until || passer.urgency <= wait.urgency + sharedMs) return false;
  const isCalm = calm.some(
    ({ from, until }) => passer.until <= until && passer.until - Math.max(from, wait.from) > slackMs,
  );
  return isCalm && !raises.some((raised) => isNewOwner(raised, passer));
}

function isNewOwner({ at, owner }: Raised, { queue, lane, until }: Wait): boolean {
  return owner.queue === queue && covers(owner.prefix, lane) && at <= until && until - at <= slackMs;
}
