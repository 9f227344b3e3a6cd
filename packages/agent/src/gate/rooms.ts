// Slots that are made free for urgent tasks, of whatever owner.
//
//   asked ──somebody may be stopped──▶ stopping ──it has ended, however──▶ kept ──the flow dispatches──▶ taken
//     ├──a slot is free────────────────────────────────────────────────────▲ │
//     └──nobody, or enough are──▶ refused     the asker's stream ends, or it does not come in time──▶ anybody's
//
// Who asks does not say what is stopped: it knows its own attempts alone, and a backlog of low priority lies anywhere. Owners say
// of each attempt whether it may be stopped; an owner that asks for too much is held to a few rooms at a time.
import type { MakeRoom } from "@sluice/protocol";
import type { Attempt } from "./attempt.ts";
import type { FlowName } from "./flow-floors.ts";

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

  /** Undefined: nobody may be stopped, or as much is open as may be. */
  open({ accountId, functionName, priority, memoryMb }: MakeRoom, facts: Facts): Room | undefined {
    const { streamId, isFree } = facts;
    // What is urgent itself is stopped for nobody.
    if (priority < 0) return undefined;
    const ofStream = [...this.#rooms].filter((room) => room.streamId === streamId).length;
    if (this.#rooms.size >= this.#roomsMax || ofStream >= roomsOfStreamMax) return undefined;
    const victim = isFree ? undefined : this.#victim(facts, priority, memoryMb);
    if (!isFree && !victim) return undefined;
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

  /** Of the attempts that have one of these instances for themselves: the one to stop for that priority. */
  lastIn(instanceIds: readonly string[], priority: number, attempts: Iterable<Attempt>): Attempt | undefined {
    const running = new Map<string, Attempt[]>(instanceIds.map((id) => [id, []]));
    for (const attempt of attempts) if (!attempt.outcome) running.get(attempt.instanceId)?.push(attempt);
    const alone = [...running.values()].flatMap((those) => (those.length === 1 ? those : []));
    return best(alone, priority, 0);
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

  /** Of the lowest priority below that one; of those, one whose instance is large enough; of those, what began last. */
  #victim({ attempts, isHeard }: Facts, priority: number, memoryMb: number): Attempt | undefined {
    const stopping = new Set([...this.#rooms].map(({ victim }) => victim));
    return best(attempts, priority, memoryMb, (attempt) => !stopping.has(attempt) && isHeard(attempt));
  }
}

function best(
  attempts: Iterable<Attempt>,
  priority: number,
  memoryMb: number,
  mayBe: (attempt: Attempt) => boolean = () => true,
): Attempt | undefined {
  let found: Attempt | undefined;
  for (const attempt of attempts) {
    if (attempt.outcome || !attempt.stoppable || attempt.stoppable.priority <= priority || !mayBe(attempt)) continue;
    if (!found || compare(attempt, found, memoryMb) >= 0) found = attempt;
  }
  return found;
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
