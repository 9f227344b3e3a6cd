import {
  type Account as WireAccount,
  type ClusterAgent as WireAgent,
  AgentState as WireAgentState,
  type PartitionChange as WireChange,
  type ClusterEvent as WireEvent,
  type ClusterPartition as WirePartition,
  type ClusterQueue as WireQueue,
  type ClusterRoute as WireRoute,
  type RouteChange as WireRouteChange,
  RouteState as WireRouteState,
} from "@sluice/protocol";
import { type CallOptions, type Connection, repeat } from "./connection.ts";
import type { RouteState } from "./types.ts";
import { routeStateFromWire } from "./wire.ts";

/** A scheduler. */
export interface ClusterMember {
  readonly id: string;
  /** How much it takes on, relative to the others. */
  readonly capacity: number;
  /** It is about to leave. */
  readonly draining: boolean;
  /** It runs the load-balancer. */
  readonly leader: boolean;
  /** Share of the time, 0 to 1, in which its thread is at work, as it last reported; undefined: it does not say. */
  readonly busy?: number | undefined;
}
export interface ClusterPartition {
  readonly queue: string;
  /** 0 to 5 characters, each 0 or 1; empty: the whole queue. */
  readonly prefix: string;
  /** The scheduler that should own it. */
  readonly wishedOwner: string | undefined;
  /** The scheduler that owns it; undefined: none at this moment. */
  readonly owner: string | undefined;
  readonly claimRevision: number | undefined;
  readonly epoch: number;
  /** In the owner's memory, and parked because that was full; as it reported some seconds ago, within a fifth. */
  readonly waiting: number;
  /** Those of them that are parked. */
  readonly parked: number;
  /** Age of the oldest of those in memory. */
  readonly backlogAgeMs: number;
  readonly dispatchedPerSecond: number;
  /** Until then it stays with its owner, unless that one leaves; undefined: it may be moved. */
  readonly restsUntilMs: number | undefined;
}
export interface ClusterQueue {
  readonly name: string;
  readonly partitions: readonly ClusterPartition[];
  /** Until then the load-balancer neither splits nor merges; undefined: it may. */
  readonly shapeRestsUntilMs: number | undefined;
}
export interface ClusterAgent {
  readonly id: string;
  readonly incarnation: number;
  readonly address: string;
  readonly slots: number;
  readonly state: "alive" | "silent" | "fenced" | "unknown";
  readonly version: string;
  readonly renewedAtMs: number;
}
export interface Cluster {
  readonly members: readonly ClusterMember[];
  readonly queues: readonly ClusterQueue[];
  readonly agents: readonly ClusterAgent[];
}
/** What a command has made of a queue: its partitions as they are wished, without owners and loads. */
export interface PartitionChange {
  readonly queue: ClusterQueue;
  /** False: it was so already. */
  readonly changed: boolean;
}

/** Limits of an account, of all its functions together. */
export interface AccountSettings {
  /** Attempts at the same time in the whole cluster; 0: no limit. */
  readonly concurrencyMax: number;
  /** Attempts that start per second in the whole cluster; 0: no limit. */
  readonly rateMax: number;
  /** Attempts that may start at once after a quiet time; 0: those of one second, at least one. */
  readonly rateBurst: number;
  /** Share among the accounts, 1 to 100. */
  readonly weight: number;
}
export interface Account {
  readonly id: string;
  readonly settings: AccountSettings;
  /** When it last became limited or unlimited; undefined: never. */
  readonly limitsChangedAtMs: number | undefined;
  readonly createdAtMs: number;
}

/** A function with a queue of its own. */
export interface ClusterRoute {
  readonly account: string;
  readonly function: string;
  readonly queue: string;
  /** `opening`: its queue is taken over; `open`: new tasks go to it; `folding`: they go elsewhere again. */
  readonly state: RouteState;
  /** `asked`, `latency`, `hot` or `command`; later releases may have others. */
  readonly reason: string;
  /** When it came into this state. */
  readonly changedAtMs: number;
  /** Since when nothing happens in the queue; undefined: it is in use. */
  readonly idleSinceMs: number | undefined;
}
export interface RouteChange {
  readonly route: ClusterRoute;
  /** False: it was so already. */
  readonly changed: boolean;
}

/** A change of partitions, of the queue of a function's own, or of the leader. */
export interface ClusterEvent {
  readonly atMs: number;
  /** `split`, `merge`, `move`, `leader`, or `route` and the state that it came into; later releases may have others. */
  readonly kind: string;
  /** The rule that asked for it, such as `backlog`, `load`, `quiet` or `gone`; or `command`. */
  readonly reason: string;
  /** The account that commanded it. */
  readonly by: string | undefined;
  /** What the rule went by; names say the unit. */
  readonly figures: Readonly<Record<string, number>>;
  /** Undefined: it is about no queue. */
  readonly queue: string | undefined;
  /** The partition that was split or moved, or that two halves became. */
  readonly prefix: string;
  /** The function whose queue it is about, with its account. */
  readonly account: string | undefined;
  readonly function: string | undefined;
  /** The scheduler that gives something away. */
  readonly from: string | undefined;
  /** The scheduler that gets it. */
  readonly to: string | undefined;
}
export interface EventsOptions extends CallOptions {
  /** Only those of this queue; default: all. */
  readonly queue?: string | undefined;
  /** The newest, up to 1,000; default 100. */
  readonly limit?: number | undefined;
}

/** For accounts of operators; others get `Forbidden`. Every command may be repeated. */
export interface ClusterClient {
  get(options?: CallOptions): Promise<Cluster>;
  /** Splits a partition into its halves. Throws `NotFound`, and `FailedPrecondition` for a single lane. */
  split(queue: string, prefix: string, options?: CallOptions): Promise<PartitionChange>;
  /** Merges the two halves of a prefix. Throws `NotFound`, and `FailedPrecondition` if they are not both partitions. */
  merge(queue: string, prefix: string, options?: CallOptions): Promise<PartitionChange>;
  /** Gives a partition to the scheduler `to`, where it stays for an hour. Throws `NotFound` and `FailedPrecondition`. */
  move(queue: string, prefix: string, to: string, options?: CallOptions): Promise<PartitionChange>;
  /** Throws `NotFound`. */
  account(id: string, options?: CallOptions): Promise<Account>;
  /** Changes the limits that are named. Throws `NotFound`. */
  updateAccount(id: string, settings: Partial<AccountSettings>, options?: CallOptions): Promise<Account>;
  /** Every account, by id. */
  accounts(options?: CallOptions): AsyncGenerator<Account>;
  /** The functions that have, get or lose a queue of their own. */
  routes(options?: CallOptions): Promise<readonly ClusterRoute[]>;
  /** Gives a function a queue of its own. Throws `NotFound`, and `FailedPrecondition` when too many have one. */
  addRoute(account: string, functionName: string, options?: CallOptions): Promise<RouteChange>;
  /** Takes it away, once nothing is left in it. Throws `NotFound`. */
  removeRoute(account: string, functionName: string, options?: CallOptions): Promise<RouteChange>;
  /** What was changed lately, the oldest first: the last thousand changes of a day at most. */
  events(options?: EventsOptions): Promise<readonly ClusterEvent[]>;
}

export function createClusterClient(connection: Connection): ClusterClient {
  const { cluster: api } = connection;
  return {
    async get(options = {}) {
      const { members, queues, agents } = await repeat(connection, options, (context) => api.getCluster({}, context));
      return { members, queues: queues.map(queueFromWire), agents: agents.map(agentFromWire) };
    },
    split: async (queue, prefix, options = {}) =>
      changeFromWire(await repeat(connection, options, (context) => api.splitPartition({ queue, prefix }, context))),
    merge: async (queue, prefix, options = {}) =>
      changeFromWire(await repeat(connection, options, (context) => api.mergePartition({ queue, prefix }, context))),
    move: async (queue, prefix, to, options = {}) =>
      changeFromWire(await repeat(connection, options, (context) => api.movePartition({ queue, prefix, to }, context))),
    account: async (account, options = {}) =>
      accountFromWire(await repeat(connection, options, (context) => api.getAccount({ account }, context))),
    updateAccount: async (account, settings, options = {}) =>
      accountFromWire(
        await repeat(connection, options, (context) => api.updateAccount({ account, settings }, context)),
      ),
    async routes(options = {}) {
      const { routes } = await repeat(connection, options, (context) => api.listRoutes({}, context));
      return routes.map(routeFromWire);
    },
    addRoute: async (account, name, options = {}) =>
      routeChangeFromWire(
        await repeat(connection, options, (context) => api.addRoute({ account, function: name }, context)),
      ),
    removeRoute: async (account, name, options = {}) =>
      routeChangeFromWire(
        await repeat(connection, options, (context) => api.removeRoute({ account, function: name }, context)),
      ),
    async events({ queue = "", limit = 0, ...options } = {}) {
      const { events } = await repeat(connection, options, (context) => api.listEvents({ queue, limit }, context));
      return events.map(eventFromWire);
    },
    async *accounts(options = {}) {
      for (let pageToken = ""; ; ) {
        const request = { pageSize: 0, pageToken };
        const page = await repeat(connection, options, (context) => api.listAccounts(request, context));
        yield* page.accounts.map(accountFromWire);
        pageToken = page.nextPageToken;
        if (pageToken === "") return;
      }
    },
  };
}

function accountFromWire({ id, settings, limitsChangedAtMs, createdAtMs }: WireAccount): Account {
  const { concurrencyMax = 0, rateMax = 0, rateBurst = 0, weight = 1 } = settings ?? {};
  const limits = { concurrencyMax, rateMax, rateBurst, weight };
  return { id, settings: limits, limitsChangedAtMs: limitsChangedAtMs || undefined, createdAtMs };
}

function routeFromWire({ state, idleSinceMs, ...route }: WireRoute): ClusterRoute {
  return { ...route, state: routeStateFromWire(state), idleSinceMs: idleSinceMs || undefined };
}

const noRoute: WireRoute = {
  ...{ account: "", function: "", queue: "", reason: "", changedAtMs: 0, idleSinceMs: 0 },
  state: WireRouteState.UNSPECIFIED,
};

function routeChangeFromWire({ route, changed }: WireRouteChange): RouteChange {
  return { route: routeFromWire(route ?? noRoute), changed };
}

function eventFromWire({ by, queue, account, from, to, ...event }: WireEvent): ClusterEvent {
  return {
    ...event,
    by: by || undefined,
    queue: queue || undefined,
    account: account || undefined,
    function: event.function || undefined,
    from: from || undefined,
    to: to || undefined,
  };
}

const states = new Map<number, ClusterAgent["state"]>([
  [WireAgentState.ALIVE, "alive"],
  [WireAgentState.SILENT, "silent"],
  [WireAgentState.FENCED, "fenced"],
]);

function agentFromWire({ state, ...agent }: WireAgent): ClusterAgent {
  return { ...agent, state: states.get(state) ?? "unknown" };
}

function changeFromWire({ queue, changed }: WireChange): PartitionChange {
  return { queue: queueFromWire(queue ?? { name: "", partitions: [], shapeRestsUntilMs: 0 }), changed };
}

function queueFromWire({ name, partitions, shapeRestsUntilMs }: WireQueue): ClusterQueue {
  return { name, partitions: partitions.map(partitionFromWire), shapeRestsUntilMs: shapeRestsUntilMs || undefined };
}

function partitionFromWire(partition: WirePartition): ClusterPartition {
  return {
    ...partition,
    wishedOwner: partition.wishedOwner || undefined,
    owner: partition.owner || undefined,
    claimRevision: partition.claimRevision || undefined,
    restsUntilMs: partition.restsUntilMs || undefined,
  };
}
