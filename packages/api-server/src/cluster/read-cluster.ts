// The cluster as operators see it: what is wished, what is claimed, and what owners say of themselves.
import {
  type Coordinator,
  claimsPrefix,
  isResting,
  leaderKey,
  readLoads,
  readMembers,
  readWishes,
  type Wish,
} from "@sluice/coordination";
import { type Clock, type Epoch, type EpochMs, lanesOf, partitionKey } from "@sluice/core";
import {
  AgentState,
  type Cluster,
  type ClusterAgent,
  type ClusterPartition,
  type ClusterQueue,
} from "@sluice/protocol";
import type { AgentRecord, Store } from "@sluice/store";

export interface ReadClusterDeps {
  readonly coordinator: Coordinator;
  readonly store: Pick<Store, "lanes" | "agents">;
  readonly clock: Clock;
}

/** An agent is renewed every two seconds. */
const silentAfterMs = 10_000;

export async function readCluster({ coordinator, store, clock }: ReadClusterDeps): Promise<Cluster> {
  const [members, wishes, claims, loads, leader, floors, agents] = await Promise.all([
    readMembers(coordinator),
    readWishes(coordinator),
    coordinator.list(claimsPrefix),
    readLoads(coordinator),
    coordinator.get(leaderKey),
    store.lanes.allFloors(),
    store.agents.list(),
  ]);
  const now = clock.now();
  const claimOf = new Map(claims.map((claim) => [claim.key.slice(claimsPrefix.length), claim]));
  const loadOf = new Map(
    loads.flatMap(({ memberId, partitions }) =>
      partitions.map((load) => [`${memberId} ${partitionKey(load)}`, load] as const),
    ),
  );

  const busyOf = new Map(loads.map(({ memberId, busy }) => [memberId, busy]));

  function complete(partition: ClusterPartition): ClusterPartition {
    const key = partitionKey(partition);
    const claim = claimOf.get(key);
    const load = loadOf.get(`${claim?.value} ${key}`);
    return {
      ...partition,
      owner: claim?.value ?? "",
      claimRevision: claim?.createRevision ?? 0,
      epoch: epochOf(partition, floors.get(partition.queue) ?? []),
      waiting: load?.waiting ?? 0,
      parked: load?.parked ?? 0,
      backlogAgeMs: Math.round(load?.backlogAgeMs ?? 0),
      dispatchedPerSecond: load?.dispatchedPerSecond ?? 0,
    };
  }

  return {
    members: members.map(({ id, capacity, isDraining }) => ({
      id,
      capacity,
      draining: isDraining,
      leader: id === leader?.value,
      busy: busyOf.get(id),
    })),
    queues: wishes.map((wish) => {
      const queue = toWireQueue(wish, now);
      return { ...queue, partitions: queue.partitions.map(complete) };
    }),
    agents: agents.map((agent) => toWireAgent(agent, now)).sort((a, b) => (a.id < b.id ? -1 : 1)),
  };
}

/** What is wished of a queue. */
export function toWireQueue({ queue, partitions, shapeRestsUntil }: Wish, now: EpochMs): ClusterQueue {
  const restOf = (until: EpochMs | undefined) => (isResting(until, now) ? (until ?? 0) : 0);
  return {
    name: queue,
    partitions: partitions.map(({ prefix, ownerId, restsUntil }) => ({
      queue,
      prefix,
      wishedOwner: ownerId,
      owner: "",
      claimRevision: 0,
      epoch: 0,
      waiting: 0,
      parked: 0,
      backlogAgeMs: 0,
      dispatchedPerSecond: 0,
      restsUntilMs: restOf(restsUntil),
    })),
    shapeRestsUntilMs: restOf(shapeRestsUntil),
  };
}

function epochOf({ prefix }: ClusterPartition, floors: readonly Epoch[]): Epoch {
  const { from, until } = lanesOf(prefix);
  return Math.max(0, ...floors.slice(from, until));
}

function toWireAgent(agent: AgentRecord, now: EpochMs): ClusterAgent {
  const { agentId, incarnation, address, slots, version, renewedAt, fenced } = agent;
  const isSilent = now - renewedAt > silentAfterMs;
  const state = fenced ? AgentState.FENCED : isSilent ? AgentState.SILENT : AgentState.ALIVE;
  return { id: agentId, incarnation, address, slots, state, version, renewedAtMs: renewedAt };
}
