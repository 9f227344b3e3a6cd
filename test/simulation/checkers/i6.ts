// I6: nothing is accepted from an epoch lower than one already seen: neither by the store nor by an agent.
import { covers, laneCount, lanesOf, type OwnedPartition } from "@sluice/core";
import type { AgentEvent, Checker, StoreEvent, Violation } from "../model/history.ts";
import { describeExecution, type Execution } from "../model/ledger.ts";
import { insertsOf } from "./rows.ts";

const invariant = "I6";

export const checkI6: Checker = ({ store, agents, executions }) => [
  ...storeRefuses(store),
  ...agentsRefuse(agents),
  ...nothingStarts(agents, executions),
];

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
    if (event.kind !== "written" || !event.applied) return [];
    const { write, owner, by } = event;
    const row = inserts.get(write.seq);
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

function agentsRefuse(agents: readonly AgentEvent[]): Violation[] {
  const floors = new Map<string, Floors>();
  return agents.flatMap((event) => {
    if (event.kind !== "attached") return [];
    const { agentId, incarnation, owner, at } = event;
    const own = floors.get(`${agentId}/${incarnation}`) ?? new Floors();
    floors.set(`${agentId}/${incarnation}`, own);
    const highest = own.highest(owner);
    own.raise(owner);
    if (owner.epoch >= highest) return [];
    const message = `${agentId}/${incarnation} took the owner of ${owner.queue}/${owner.prefix} with epoch ${owner.epoch} at ${at} ms, after epoch ${highest}`;
    return [{ invariant, message }];
  });
}

/** What was dispatched to an agent after it had taken a higher epoch must not start. */
function nothingStarts(agents: readonly AgentEvent[], executions: readonly Execution[]): Violation[] {
  const floors = new Map<string, Floors>();
  const stale = new Map<string, number>();
  const fresh = new Set<string>();
  for (const event of agents) {
    const own = floors.get(`${event.agentId}/${event.incarnation}`) ?? new Floors();
    floors.set(`${event.agentId}/${event.incarnation}`, own);
    if (event.kind === "attached") {
      own.raise(event.owner);
      continue;
    }
    const key = `${event.agentId}/${event.incarnation} ${event.seq}/${event.attempt}@${event.epoch}`;
    const floor = own.of(event.queue, event.lane);
    if (event.epoch < floor) stale.set(key, floor);
    else fresh.add(key);
  }
  return executions.flatMap((execution) => {
    const { agentId, incarnation, seq, attempt, epoch } = execution;
    const key = `${agentId}/${incarnation} ${seq}/${attempt}@${epoch}`;
    const floor = stale.get(key);
    if (floor === undefined || fresh.has(key)) return [];
    return [
      { invariant, seq, message: `${describeExecution(execution)} started, although its agent knew epoch ${floor}` },
    ];
  });
}
