// I6: nothing is accepted from an epoch lower than one already seen: neither by the store nor by an agent.
import type { OwnedPartition } from "@sluice/core";
import { createChecker } from "./checker.ts";
import { type AgentEvent, describeExecution, type Execution, type StoreEvent, type Violation } from "./history.ts";
import { covers, laneCount, lanesOf } from "./lanes.ts";
import { insertsOf } from "./rows.ts";

const invariant = "I6";

export const i6 = createChecker({
  invariant,
  about: "Nothing is accepted from an epoch lower than one already seen: neither by the store nor by an agent.",
  needs: ["store", "agents", "executions"],
  check: ({ store, agents, executions }) => [
    ...storeRefuses(store),
    ...agentsRefuse(agents),
    ...newcomersRefuse(store, agents),
    ...nothingStarts(agents, executions),
  ],
});

class Floors {
  readonly #queues = new Map<string, number[]>();

  raise({ queue, prefix, epoch }: OwnedPartition): void {
    const { from, until } = lanesOf(prefix);
    const lanes = this.#of(queue);
    for (let lane = from; lane < until; lane++) lanes[lane] = Math.max(lanes[lane] ?? 0, epoch);
  }
  of(queue: string, lane: number): number {
    return this.#of(queue)[lane] ?? 0;
  }
  highest({ queue, prefix }: OwnedPartition): number {
    const { from, until } = lanesOf(prefix);
    return Math.max(...this.#of(queue).slice(from, until));
  }
  copy(): Floors {
    const copy = new Floors();
    for (const [queue, lanes] of this.#queues) copy.#queues.set(queue, [...lanes]);
    return copy;
  }
  #of(queue: string): number[] {
    const lanes = this.#queues.get(queue) ?? new Array<number>(laneCount).fill(0);
    this.#queues.set(queue, lanes);
    return lanes;
  }
}

function storeRefuses(store: readonly StoreEvent[]): Violation[] {
  const floors = new Floors();
  const inserts = insertsOf(store);
  return store.flatMap((event) => {
    if (event.kind === "raised") floors.raise(event.owner);
    if (event.kind === "unparked") return late(floors.highest(event.owner), event, "unparked tasks");
    if (event.kind === "overflown") return late(floors.highest(event.owner), event, "parked tasks that overflowed");
    if (event.kind === "batch") return late(floors.highest(event.owner), event, `${event.did} tasks for an operation`);
    if (event.kind !== "written" || !event.applied) return [];
    const { write, owner, by } = event;
    const row = inserts.get(write.seq);
    // The owner of its new lane has it from then on.
    if (write.kind === "park" && write.moveTo && row) inserts.set(write.seq, { ...row, ...write.moveTo });
    if (row && (row.queue !== owner.queue || !covers(owner.prefix, row.lane))) {
      const message = `${by} wrote task ${write.seq} of ${row.queue}/${row.lane} as the owner of ${owner.queue}/${owner.prefix}`;
      return [{ invariant, seq: write.seq, message }];
    }
    return late(floors.of(owner.queue, write.lane), event, `wrote task ${write.seq}`);
  });
}

function late(
  floor: number,
  { by, at, owner }: { by: string; at: number; owner: OwnedPartition },
  what: string,
): Violation[] {
  if (owner.epoch >= floor) return [];
  return [{ invariant, message: `${by} ${what} with epoch ${owner.epoch} at ${at} ms, when the floor was ${floor}` }];
}

/**
 * What one agent has taken. Answers of different streams are recorded when they are sent, which within one instant says
 * nothing about the order in which it decided: an owner counts for what comes later.
 */
class AgentFloors {
  readonly #floors = new Floors();
  #recent: { readonly at: number; readonly owner: OwnedPartition }[] = [];

  /** As it was before `at`. */
  before(at: number): Floors {
    for (const { owner } of this.#recent.filter((taken) => taken.at < at)) this.#floors.raise(owner);
    this.#recent = this.#recent.filter((taken) => taken.at >= at);
    return this.#floors;
  }
  take(at: number, owner: OwnedPartition): void {
    this.#recent.push({ at, owner });
  }
}

/** By incarnation. */
function agentFloors(): (event: AgentEvent) => AgentFloors {
  const floors = new Map<string, AgentFloors>();
  return ({ agentId, incarnation }) => {
    const key = `${agentId}/${incarnation}`;
    const own = floors.get(key) ?? new AgentFloors();
    floors.set(key, own);
    return own;
  };
}

function agentsRefuse(agents: readonly AgentEvent[]): Violation[] {
  const floorsOf = agentFloors();
  return agents.flatMap((event) => {
    if (event.kind !== "attached") return [];
    const { agentId, incarnation, owner, at } = event;
    const own = floorsOf(event);
    const highest = own.before(at).highest(owner);
    own.take(at, owner);
    if (owner.epoch >= highest) return [];
    const message = `${agentId}/${incarnation} took the owner of ${owner.queue}/${owner.prefix} with epoch ${owner.epoch} at ${at} ms, after epoch ${highest}`;
    return [{ invariant, message }];
  });
}

/** An agent gets the floors at its registration: of owners that were replaced before its row was there it takes none. */
function newcomersRefuse(store: readonly StoreEvent[], agents: readonly AgentEvent[]): Violation[] {
  const floors = new Floors();
  const atBirth = new Map<string, Floors>();
  for (const event of store) {
    if (event.kind === "raised") floors.raise(event.owner);
    if (event.kind !== "registered") continue;
    const key = `${event.agentId}/${event.incarnation}`;
    if (!atBirth.has(key)) atBirth.set(key, floors.copy());
  }
  return agents.flatMap((event) => {
    if (event.kind !== "attached") return [];
    const { agentId, incarnation, owner, at } = event;
    const floor = atBirth.get(`${agentId}/${incarnation}`)?.highest(owner) ?? 0;
    if (owner.epoch >= floor) return [];
    const message = `${agentId}/${incarnation} took the owner of ${owner.queue}/${owner.prefix} with epoch ${owner.epoch} at ${at} ms, and was born when the floor was ${floor}`;
    return [{ invariant, message }];
  });
}

/** What was dispatched to an agent after it had taken a higher epoch must not start. */
function nothingStarts(agents: readonly AgentEvent[], executions: readonly Execution[]): Violation[] {
  const floorsOf = agentFloors();
  const stale = new Map<string, number>();
  const fresh = new Set<string>();
  for (const event of agents) {
    if (event.kind === "attached") {
      floorsOf(event).take(event.at, event.owner);
      continue;
    }
    if (event.kind !== "dispatched") continue;
    const key = `${event.agentId}/${event.incarnation} ${event.seq}/${event.attempt}@${event.epoch}`;
    const floor = floorsOf(event).before(event.at).of(event.queue, event.lane);
    if (event.epoch < floor) stale.set(key, floor);
    else fresh.add(key);
  }
  return executions.flatMap((execution) => {
    const { agentId, incarnation, seq, attempt, epoch } = execution;
    const key = `${agentId}/${incarnation} ${seq}/${attempt}@${epoch}`;
    const floor = stale.get(key);
    if (floor === undefined || fresh.has(key)) return [];
    const message = `${describeExecution(execution)} started, although its agent knew epoch ${floor}`;
    return [{ invariant, seq, message }];
  });
}
