// Slots that are made free for urgent tasks, of whatever owner.
//
//   asked ──somebody may be stopped──▶ stopping ──it has ended, however──▶ kept ──the flow dispatches──▶ taken
//     ├──a slot is free────────────────────────────────────────────────────▲ │
//     ├──nobody, or enough are──▶ refused     the asker's stream ends, or it does not come in time──▶ anybody's
//     └──only of accounts that run no more than the asker's──▶ refused, for its share
//
// Who asks does not say what is stopped: it knows its own attempts alone, and a backlog of low priority lies anywhere. Owners say
// of each attempt whether it may be stopped; an owner that asks for too much is held to a few rooms at a time, and an account to
// what others run (`shares.ts`).
import type { MakeRoom } from "@sluice/protocol";
import type { Attempt } from "./attempt.ts";
import type { FlowName } from "./flow-floors.ts";
import { accountOf, claimOn, type RunningCounts } from "./shares.ts";

export interface Room {
  /** Of who asked. */
  readonly streamId: number;
  readonly flow: FlowName;
  /** Tasks of this priority and more urgent ones may take it. */
  readonly priority: number;
  /** What is being stopped; undefined: the slot is free, and kept. */
  victim: Attempt | undefined;
}

/** What is open at the same time. */
const roomsOfStreamMax = 4;
const slotsPerRoom = 4;
/** The highest number. */
export const lowestPriority = 3;

interface Facts {
  readonly streamId: number;
  /** A slot is free and nobody's. */
  readonly isFree: boolean;
  /** In order of acceptance. */
  readonly attempts: Iterable<Attempt>;
  /** Whether the attempt has an owner now that hears of its end. */
  isHeard(attempt: Attempt): boolean;
}

export class Rooms {
  readonly #rooms = new Set<Room>();
  readonly #roomsMax: number;
  #keptCount = 0;

  constructor(slots: number) {
    this.#roomsMax = Math.max(1, Math.ceil(slots / slotsPerRoom));
  }

  /** Slots that are free, and kept. */
  get keptCount(): number {
    return this.#keptCount;
  }

  /**
   * `none`: nobody may be stopped, or as much is open as may be. `share`: what may be stopped is of accounts that run no more than
   * the one that asks.
   */
  open({ accountId, functionName, priority, memoryMb }: MakeRoom, facts: Facts): Room | "none" | "share" {
    const { streamId, isFree } = facts;
    // What is urgent itself is stopped for nobody.
    if (priority < 0) return "none";
    const ofStream = [...this.#rooms].filter((room) => room.streamId === streamId).length;
    if (this.#rooms.size >= this.#roomsMax || ofStream >= roomsOfStreamMax) return "none";
    const victim = isFree ? undefined : this.#victim(facts, { accountId, priority, memoryMb });
    if (typeof victim === "string") return victim;
    const room: Room = { streamId, flow: { accountId, functionName }, priority, victim };
    this.#rooms.add(room);
    if (!victim) this.#keptCount++;
    return room;
  }

  /** The attempt has ended: if it was stopped for somebody, its slot is theirs now. */
  ended(attempt: Attempt): void {
    for (const room of this.#rooms) {
      if (room.victim !== attempt) continue;
      room.victim = undefined;
      this.#keptCount++;
    }
  }

  /** Of the attempts that have one of these instances for themselves: the one to stop for an attempt that waits for a place. */
  lastIn(
    instanceIds: readonly string[],
    { waiting, priority }: { readonly waiting: Attempt; readonly priority: number },
    attempts: Iterable<Attempt>,
  ): Attempt | undefined {
    const inInstance = new Map<string, Attempt[]>(instanceIds.map((id) => [id, []]));
    for (const attempt of attempts) if (!attempt.outcome) inInstance.get(attempt.instanceId)?.push(attempt);
    const alone = [...inInstance.values()].flatMap((those) => (those.length === 1 ? those : []));
    const asker = accountOf(waiting);
    const victim = best(alone, { priority, memoryMb: 0, asker, running: this.#running(attempts, waiting) });
    return typeof victim === "string" ? undefined : victim;
  }

  isKeptFor(streamId: number, flow: FlowName | undefined, priority: number | undefined): boolean {
    return this.#keptFor(streamId, flow, priority) !== undefined;
  }

  /** An attempt takes the slot that is kept for it, if any is. */
  take(streamId: number, flow: FlowName | undefined, priority: number | undefined): void {
    const room = this.#keptFor(streamId, flow, priority);
    if (room) this.release(room);
  }

  release(room: Room): void {
    if (this.#rooms.delete(room) && !room.victim) this.#keptCount--;
  }

  detach(streamId: number): void {
    for (const room of [...this.#rooms]) if (room.streamId === streamId) this.release(room);
  }

  /** Attempts that may be stopped and are not being stopped, by priority. */
  stoppableOf({ stoppable }: { readonly stoppable: readonly number[] }): number[] {
    const counts = [...stoppable];
    for (const { victim } of this.#rooms) {
      const priority = victim?.stoppable?.priority;
      if (priority !== undefined) counts[priority] = Math.max(0, (counts[priority] ?? 0) - 1);
    }
    return counts;
  }

  #keptFor(streamId: number, flow: FlowName | undefined, priority = lowestPriority): Room | undefined {
    if (this.#keptCount === 0 || !flow) return undefined;
    for (const room of this.#rooms) {
      if (room.victim || room.streamId !== streamId || priority > room.priority) continue;
      const { accountId, functionName } = room.flow;
      if (accountId === flow.accountId && functionName === flow.functionName) return room;
    }
    return undefined;
  }

  #victim(
    { attempts, isHeard }: Facts,
    { accountId, priority, memoryMb }: Pick<MakeRoom, "accountId" | "priority" | "memoryMb">,
  ): Attempt | "none" | "share" {
    const stopping = this.#stopping();
    const wanted = { priority, memoryMb, asker: accountId, running: this.#running(attempts) };
    return best(attempts, wanted, (attempt) => !stopping.has(attempt) && isHeard(attempt));
  }

  #stopping(): ReadonlySet<Attempt | undefined> {
    return new Set([...this.#rooms].map(({ victim }) => victim));
  }

  /**
   * What each account runs: a room counts for the account that asked, and no more for the one that is stopped. Of the account of
   * an attempt that waits only what was accepted before it: those behind it wait as well.
   */
  #running(attempts: Iterable<Attempt>, waiting?: Attempt): RunningCounts {
    const running = new Map<string, number>();
    const count = (accountId: string) => running.set(accountId, (running.get(accountId) ?? 0) + 1);
    const stopping = this.#stopping();
    let isBehind = false;
    for (const attempt of attempts) {
      isBehind ||= attempt === waiting;
      if (attempt.outcome || stopping.has(attempt)) continue;
      if (!waiting || !isBehind || accountOf(attempt) !== accountOf(waiting)) count(accountOf(attempt));
    }
    for (const { flow } of this.#rooms) count(flow.accountId);
    return running;
  }
}

interface Wanted {
  /** Only what is less urgent is stopped. */
  readonly priority: number;
  readonly memoryMb: number;
  /** The account that asks. */
  readonly asker: string;
  readonly running: RunningCounts;
}

/** Of the account that comes first; of its attempts of the lowest priority; of those, one whose instance is large enough; of those, what began last. */
function best(
  attempts: Iterable<Attempt>,
  wanted: Wanted,
  mayBe: (attempt: Attempt) => boolean = () => true,
): Attempt | "none" | "share" {
  let found: { readonly attempt: Attempt; readonly claim: number } | undefined;
  let isOfOthers = false;
  for (const attempt of attempts) {
    const { outcome, stoppable } = attempt;
    if (outcome || !stoppable || stoppable.priority <= wanted.priority || !mayBe(attempt)) continue;
    const claim = claimOn(accountOf(attempt), wanted);
    if (claim === 0) isOfOthers = true;
    // In order of acceptance: the later one where nothing decides.
    else if (!found || (claim - found.claim || compare(attempt, found.attempt, wanted.memoryMb)) >= 0)
      found = { attempt, claim };
  }
  return found?.attempt ?? (isOfOthers ? "share" : "none");
}

/** Above 0: the first one rather than the second. What has not begun has nothing to lose. */
function compare(one: Attempt, other: Attempt, memoryMb: number): number {
  const priorities = (one.stoppable?.priority ?? 0) - (other.stoppable?.priority ?? 0);
  if (priorities !== 0) return priorities;
  const isLarge = ({ stoppable }: Attempt) => ((stoppable?.memoryMb ?? 0) >= memoryMb ? 1 : 0);
  const sizes = isLarge(one) - isLarge(other);
  if (sizes !== 0) return sizes;
  const begin = ({ startedAtMs }: Attempt) => (startedAtMs === 0 ? Number.MAX_SAFE_INTEGER : startedAtMs);
  return begin(one) - begin(other);
}
