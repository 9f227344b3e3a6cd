import {
  type Account,
  AgentState,
  type Api,
  type Cluster,
  type ClusterEvent,
  type ClusterPartition,
  type ClusterQueue,
  type ClusterRoute,
  type ClusterServiceService,
  RouteState,
} from "@sluice/protocol";
import { failure } from "./fake-tasks.ts";

/** A partition on the wire of which only some fields matter. */
export function aPartition(fields: Partial<ClusterPartition> = {}): ClusterPartition {
  const owner = fields.owner ?? "s1";
  return {
    queue: "q0",
    prefix: "",
    wishedOwner: owner,
    owner,
    claimRevision: 7,
    epoch: 9,
    waiting: 0,
    parked: 0,
    backlogAgeMs: 0,
    dispatchedPerSecond: 0,
    restsUntilMs: 0,
    ...fields,
  };
}

/** Two schedulers, of which the first leads and owns the one queue, and an agent. */
export function aCluster(): Cluster {
  return {
    members: [
      { id: "s1", capacity: 1, draining: false, leader: true, busy: 0.25 },
      { id: "s2", capacity: 1, draining: false, leader: false },
    ],
    queues: [{ name: "q0", partitions: [aPartition()], shapeRestsUntilMs: 0 }],
    agents: [
      {
        id: "a1",
        incarnation: 1,
        address: "host:1",
        slots: 8,
        state: AgentState.ALIVE,
        version: "0.1.0",
        renewedAtMs: 1_700_000_000_000,
      },
    ],
  };
}

const noEvent = { by: "", figures: {}, queue: "", prefix: "", account: "", function: "", from: "", to: "" };
const someEvents: readonly ClusterEvent[] = [
  { ...noEvent, atMs: 1_700_000_000_000, kind: "leader", reason: "elected", to: "s1" },
  {
    ...{ ...noEvent, atMs: 1_700_000_001_000, kind: "split", reason: "load", queue: "q0", from: "s1", to: "s2" },
    figures: { busy: 0.93 },
  },
  {
    ...{ ...noEvent, atMs: 1_700_000_002_000, kind: "route opening", reason: "command", by: "ops" },
    ...{ queue: "d0123456789abcdef", account: "acme", function: "train" },
  },
];

const noLimits = { concurrencyMax: 0, rateMax: 0, rateBurst: 0, weight: 1 };

/** Does at once what it is told, on `state.cluster`. */
export function clusterApi(state: { cluster: Cluster }): Api<typeof ClusterServiceService> {
  const find = (name: string): ClusterQueue => {
    const found = state.cluster.queues.find((queue) => queue.name === name);
    if (!found) throw failure("NOT_FOUND", `there is no queue ${name}`);
    return found;
  };
  const replace = (queue: ClusterQueue, at: string, by: ClusterPartition[]) => {
    if (!queue.partitions.some(({ prefix }) => prefix === at))
      throw failure("NOT_FOUND", `there is no partition ${at}`);
    queue.partitions = queue.partitions.flatMap((partition) => (partition.prefix === at ? by : [partition]));
    return { queue, changed: true };
  };
  const accounts = new Map<string, Account>();
  const routes = new Map<string, ClusterRoute>();
  const setRoute = (account: string, name: string, wanted: RouteState) => {
    const known = routes.get(`${account}/${name}`);
    if (!known && wanted === RouteState.FOLDING) throw failure("NOT_FOUND", `${account}/${name} has no queue`);
    const route: ClusterRoute = {
      ...{ account, function: name, queue: "d0123456789abcdef", state: wanted, reason: "command" },
      ...{ changedAtMs: 1_700_000_000_000, idleSinceMs: 0 },
    };
    routes.set(`${account}/${name}`, route);
    return { route, changed: known?.state !== wanted };
  };
  return {
    listEvents: async ({ queue, limit }) => ({
      events: someEvents.filter((event) => queue === "" || event.queue === queue).slice(-(limit || 100)),
    }),
    listRoutes: async () => ({ routes: [...routes.values()] }),
    addRoute: async ({ account, function: name }) => setRoute(account, name, RouteState.OPENING),
    removeRoute: async ({ account, function: name }) => setRoute(account, name, RouteState.FOLDING),
    async getAccount({ account }) {
      const found = accounts.get(account);
      if (!found) throw failure("NOT_FOUND", `there is no account ${account}`);
      return found;
    },
    async updateAccount({ account: id, settings }) {
      const before = accounts.get(id)?.settings ?? noLimits;
      const given = Object.entries(settings ?? {}).filter(([, value]) => value !== undefined);
      const after = { ...before, ...Object.fromEntries(given) };
      accounts.set(id, { id, settings: after, limitsChangedAtMs: 0, createdAtMs: 1_700_000_000_000 });
      return accounts.get(id) as Account;
    },
    listAccounts: async () => ({ accounts: [...accounts.values()], nextPageToken: "" }),
    getCluster: async () => state.cluster,
    async splitPartition({ queue, prefix }) {
      const halves = [`${prefix}0`, `${prefix}1`].map((half) => aPartition({ queue, prefix: half }));
      return replace(find(queue), prefix, halves);
    },
    async mergePartition({ queue, prefix }) {
      const found = find(queue);
      if (found.partitions.some((partition) => partition.prefix === prefix)) return { queue: found, changed: false };
      replace(found, `${prefix}0`, [aPartition({ queue, prefix })]);
      return replace(found, `${prefix}1`, []);
    },
    async movePartition({ queue, prefix, to }) {
      return replace(find(queue), prefix, [aPartition({ queue, prefix, owner: to, restsUntilMs: 1_700_003_600_000 })]);
    },
  };
}
