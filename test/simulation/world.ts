// The whole cluster in one process: production services on one fake clock and one seed, each behind wrappers of its own.
import { createAgent, Fenced, type FenceReason } from "@sluice/agent";
import { createAccessKey, createApiServer } from "@sluice/api-server";
import type { AgentEvent, AgentLife, ClaimHeld, Sent } from "@sluice/checkers";
import { defaultLeaseProfile, fastLeaseProfile, type LeaseProfile, writeWish } from "@sluice/coordination";
import { AppError, type Prefix, type Random } from "@sluice/core";
import { FakeClock, seededRandom } from "@sluice/core/testing";
import { AgentGatewayServiceService, AgentServiceService, type Api, type ToAgent } from "@sluice/protocol";
import type { Signals } from "@sluice/queue";
import { createMemorySignals } from "@sluice/queue/memory";
import { createScheduler, type Scheduler, type SchedulerDeps } from "@sluice/scheduler";
import type { Store } from "@sluice/store";
import { Registry } from "prom-client";
import "./composite-signals.ts";
import { accessKeyOf, type Callers, createCallers } from "./callers.ts";
import {
  agentConfig,
  apiServerConfig,
  eagerBalancer,
  operatorAccount,
  schedulerConfig,
  sparingBalancer,
} from "./config.ts";
import { type Counters, createCounters } from "./counters.ts";
import { createDice, type Dice } from "./dice.ts";
import { calm, type Rates } from "./faults.ts";
import { traceLogger } from "./log.ts";
import { EtcdModel } from "./model/etcd.ts";
import { Host } from "./model/host.ts";
import { createModelledPool } from "./model/instances.ts";
import { JetStreamModel } from "./model/jetstream/queue.ts";
import { createLedger, type Ledger } from "./model/ledger.ts";
import { misfortunes } from "./model/misfortunes.ts";
import { simulatedClient, targetOf } from "./net/client.ts";
import { Network } from "./net/network.ts";
import { SimNode } from "./net/node.ts";
import { recordFrames } from "./net/record-frames.ts";
import type { Connection } from "./net/stream.ts";
import type { Target } from "./net/unary.ts";
import { nodePorts } from "./ports/node-ports.ts";
import { StoreServer } from "./ports/store.ts";
import { Process } from "./process.ts";
import { recordClaims } from "./recorders/claims.ts";
import { recordLife } from "./recorders/lives.ts";
import { createTrace, type Trace } from "./trace.ts";
import { modelledWork } from "./work.ts";

/** How many processes of each kind; default: 3 schedulers, 4 agents, 2 api-servers. */
export interface WorldSize {
  readonly schedulers?: number;
  readonly agents?: number;
  readonly apiServers?: number;
  /** Attempts that an agent runs at a time; default: 8. */
  readonly slots?: number;
  /** Shared ones; default 2, so that every account uses the same. */
  readonly queues?: number;
}

export interface WorldOptions extends WorldSize {
  readonly seed: number;
  /** Empty, and on this clock. */
  readonly openStore: (clock: FakeClock) => Store;
  /** Of the load-balancer, where it differs from production; default: as production, or eager. */
  readonly balancer?: SchedulerDeps["balancer"];
  /** A few dozen tasks are more than a queue should hold. Default: as in production. */
  readonly isSparing?: boolean;
}

/** Of a world of the default size. */
export const queues: readonly string[] = ["q0", "q1"];
const longFreezeMs = 30_000;
const joinToken = "simulated-join-token";
const masterKey = Buffer.alloc(32, 7);

export class World {
  readonly clock = new FakeClock();
  readonly random: Random;
  readonly dice: Dice;
  readonly trace: Trace;
  readonly counters: Counters = createCounters();
  readonly network: Network;
  readonly server: StoreServer;
  readonly ledger: Ledger;
  readonly agentEvents: AgentEvent[] = [];
  readonly sends: Sent[] = [];
  readonly agentLives: AgentLife[] = [];
  readonly bugs: string[] = [];
  /** Of every life of every process. */
  readonly registries: Registry[] = [];
  /** Of the latest life of each host. */
  readonly registryOf = new Map<string, Registry>();
  readonly claims: readonly ClaimHeld[];
  /** Open streams of schedulers to agents. */
  readonly connections = new Set<Connection>();
  /** Of now. */
  rates: Rates = calm;
  readonly coordinator: EtcdModel;
  readonly queue: JetStreamModel;
  readonly signals: Signals;
  readonly #lease: LeaseProfile;
  readonly #slots: number;
  readonly #isSparing: boolean;
  readonly #balancer: NonNullable<SchedulerDeps["balancer"]>;
  /** Schedulers say how busy they are, and are relieved. */
  readonly #isBusyModelled: boolean;
  readonly #processes = new Map<string, Process>();
  readonly #targets = new Map<string, Target>();
  readonly #schedulers = new Map<string, Scheduler>();
  readonly queues: readonly string[];
  readonly client: Callers["client"];
  readonly operations: Callers["operations"];
  readonly operator: Callers["operator"];
  readonly names: {
    readonly schedulers: readonly string[];
    readonly agents: readonly string[];
    readonly apiServers: readonly string[];
  };

  constructor({ seed, openStore, balancer, isSparing = false, ...size }: WorldOptions) {
    const { schedulers = 3, agents = 4, apiServers = 2, slots = 8, queues: queueCount = queues.length } = size;
    this.#slots = slots;
    this.#isSparing = isSparing;
    this.queues = Array.from({ length: queueCount }, (_, index) => `q${index}`);
    this.random = seededRandom(seed);
    this.dice = createDice(this.random.fork("world"));
    this.trace = createTrace(() => this.clock.monotonic());
    this.#lease = this.dice.pick([defaultLeaseProfile, fastLeaseProfile]);
    const isEager = balancer === undefined && this.dice.chance(0.5);
    this.#balancer = balancer ?? (isSparing ? sparingBalancer : isEager ? eagerBalancer : {});
    this.#isBusyModelled = isEager && this.dice.fork("busy").chance(0.3);
    const { clock, trace, counters } = this;
    const dice = this.dice.fork("network");
    this.network = new Network({ clock, trace, counters, dice, rates: () => this.rates });
    this.server = new StoreServer(openStore(clock), () => clock.monotonic());
    this.ledger = createLedger({ now: () => clock.monotonic(), trace, counters });
    const { lateMs, passage, skewMs } = misfortunes(this.network);
    this.coordinator = new EtcdModel({ clock, lateMs });
    this.queue = new JetStreamModel({ clock, passage, skewMs });
    this.claims = recordClaims(this.coordinator, () => clock.monotonic());
    this.signals = createMemorySignals();
    const numbered = (letter: string, count: number) =>
      Array.from({ length: count }, (_, index) => `${letter}${index + 1}`);
    this.names = {
      schedulers: numbered("s", schedulers),
      agents: numbered("a", agents),
      apiServers: numbered("api", apiServers),
    };
    const callers = createCallers({
      ...{ clock, dice: this.dice, apiServers: this.names.apiServers },
      route: (...parts) => this.#route(...parts),
    });
    this.client = callers.client;
    this.operations = callers.operations;
    this.operator = callers.operator;
    for (const name of this.names.apiServers) this.#add(name, (node) => this.#bootApiServer(node));
    for (const name of this.names.schedulers) this.#add(name, (node, life) => this.#bootScheduler(node, life));
    for (const name of this.names.agents) this.#addAgent(name);
  }

  /** Wishes with the shapes of this seed (or this one), access keys, and every process. */
  async start(accounts: readonly string[], { shape }: { shape?: readonly Prefix[] } = {}): Promise<void> {
    for (const queue of this.queues) {
      const prefixes: readonly Prefix[] = shape ?? this.dice.pick([[""], ["0", "1"], ["0", "10", "11"]]);
      const partitions = prefixes.map((prefix) => ({ prefix, ownerId: "nobody" }));
      await writeWish(this.coordinator, { queue, partitions, modRevision: 0 });
    }
    for (const account of [...accounts, operatorAccount]) {
      await createAccessKey(this.server.store, masterKey, accessKeyOf(account));
    }
    for (const process of this.#processes.values()) process.start();
  }

  scheduler(name: string): Process {
    return this.#process(name);
  }
  agent(name: string): Process {
    return this.#process(name);
  }
  apiServer(name: string): Process {
    return this.#process(name);
  }
  get processes(): readonly Process[] {
    return [...this.#processes.values()];
  }

  /** Attempts that the live schedulers have taken over while they ran, and the like; for counters. */
  get partitions(): number {
    return [...this.#schedulers.values()].reduce((sum, scheduler) => sum + scheduler.partitions.length, 0);
  }

  /** Nothing goes on afterwards; what is at the store is done first. */
  async end(): Promise<void> {
    for (const process of this.#processes.values()) process.end();
    await this.server.exclusive(
      async () => undefined,
      () => undefined,
    );
    await this.clock.settle();
  }

  readonly onBug = (cause: unknown): void => {
    if (cause instanceof AppError) return;
    const text = cause instanceof Error ? (cause.stack ?? String(cause)) : String(cause);
    if (cause instanceof DOMException && cause.name === "AbortError") return;
    this.trace.add(`BUG ${String(cause)}`);
    if (this.bugs.length < 20) this.bugs.push(text);
  };

  /** Of every process. */
  get #times() {
    return {
      after: (ms: number, work: () => void) => void this.clock.timer(ms, work),
      now: () => this.clock.monotonic(),
      onThaw: (frozenMs: number) => {
        if (frozenMs > longFreezeMs) this.counters.add("frozen for more than half a minute");
      },
    };
  }

  #process(name: string): Process {
    const process = this.#processes.get(name);
    if (!process) throw new Error(`no such process: ${name}`);
    return process;
  }

  #add(name: string, boot: (node: SimNode, life: number) => { run(signal: AbortSignal): Promise<void> }): void {
    const rate = 1 + this.dice.between(-20, 20) / 1_000;
    const process = new Process({
      name,
      trace: this.trace,
      ...this.#times,
      restartMs: () => this.dice.between(200, 8_000),
      createNode: (life, offsetMs) =>
        new SimNode({ name: `${name}.${life}`, host: name, clock: this.clock, view: { rate, offsetMs } }),
      boot,
      onExit: (cause) => this.onBug(cause),
    });
    this.#processes.set(name, process);
  }

  #addAgent(name: string): void {
    const rate = 1 + this.dice.between(-20, 20) / 1_000;
    const host = new Host({
      name,
      clock: this.clock.view({ rate }),
      dice: this.dice.fork(`host ${name}`),
    });
    const process = new Process({
      name,
      trace: this.trace,
      ...this.#times,
      restartMs: () => this.dice.between(100, 10_000),
      mayStart: () => host.unlocked,
      createNode: (life, offsetMs) =>
        new SimNode({ name: `${name}.${life}`, host: name, clock: this.clock, view: { rate, offsetMs } }),
      boot: (node) => this.#bootAgent(node, host),
      onExit: (cause) => {
        if (!(cause instanceof Fenced)) this.onBug(cause);
      },
    });
    this.#processes.set(name, process);
  }

  /** Of the processes that are up. */
  get nodes(): readonly SimNode[] {
    return [...this.#processes.values()].flatMap(({ node }) => node ?? []);
  }

  #ports(node: SimNode) {
    const { server, coordinator, queue, signals, network, onBug } = this;
    return nodePorts({ server, coordinator, queue, signals, network, onBug }, node);
  }

  #kit(node: SimNode) {
    const registry = new Registry();
    this.registries.push(registry);
    this.registryOf.set(node.host, registry);
    return {
      clock: node.clock,
      random: this.random.fork(node.name),
      log: traceLogger(this.trace, node.name),
      registry,
    };
  }

  #bootApiServer(node: SimNode) {
    const server = createApiServer({
      ...this.#kit(node),
      ...this.#ports(node),
      config: apiServerConfig(joinToken, { isSparing: this.#isSparing }),
      masterKey,
      inspectZip: async () => ({ files: 1, bytes: 1 }),
      queues: this.queues,
    });
    this.#targets.set(`${node.host} tasks`, targetOf(node, server.tasks));
    this.#targets.set(`${node.host} cluster`, targetOf(node, server.cluster));
    this.#targets.set(`${node.host} operations`, targetOf(node, server.operations));
    this.#targets.set(`${node.host} gateway`, targetOf(node, server.gateway));
    return server;
  }

  #bootScheduler(node: SimNode, life: number) {
    const scheduler = createScheduler({
      ...this.#kit(node),
      ...this.#ports(node),
      config: schedulerConfig(`${node.host}-${life}`, this.#lease),
      queues: this.queues,
      balancer: this.#balancer,
      ...(this.#isBusyModelled && { workedMs: modelledWork(node.clock, this.dice.fork(`${node.name} works`)) }),
      connectAgent: (address) => ({
        api: this.#connectAgent(node, address.split(":")[0] ?? ""),
        close: () => undefined,
      }),
    });
    this.#schedulers.set(node.host, scheduler);
    return scheduler;
  }

  #bootAgent(node: SimNode, host: Host) {
    const gateways = this.names.apiServers.map((name) =>
      simulatedClient(
        AgentGatewayServiceService,
        this.#route(node, name, "gateway", new Set(["register", "heartbeat", "putLogs", "findSettled"])),
      ),
    );
    const dice = this.dice.fork(`${node.name} chooses`);
    const gateway = new Proxy({} as Api<typeof AgentGatewayServiceService>, {
      get: (_target, method) => dice.pick(gateways)[method as "heartbeat"],
    });
    const pool = createModelledPool({
      host,
      node,
      network: this.network,
      ledger: this.ledger,
      agentId: node.host,
      incarnation: () => agent.incarnation,
      onAgentKilled: () => this.agent(node.host).crash(),
    });
    const { clock, agentLives: lives } = this;
    const life = recordLife(node, { clock, lives, incarnation: () => agent.incarnation });
    const agent = createAgent({
      ...this.#kit(node),
      config: agentConfig({ agentId: node.host, address: `${node.host}:1`, joinToken, slots: this.#slots }),
      gateway,
      pool,
      journal: host.journal,
      watchdog: host.guard(node),
      onFenced: (reason: FenceReason) => {
        life.isOver();
        this.counters.add("self-fenced");
        this.trace.add(`FENCED ${node.name} ${reason}`);
      },
    });
    this.#targets.set(`${node.host} agent`, targetOf(node, agent.api));
    return {
      run: (signal: AbortSignal) => {
        life.until(signal);
        return agent.run(signal);
      },
    };
  }

  #connectAgent(from: SimNode, host: string) {
    const route = this.#route(from, host, "agent", new Set());
    const tap = () =>
      recordFrames(host, { clock: this.clock, counters: this.counters, events: this.agentEvents, sends: this.sends });
    const isRepeatable = (message: unknown) => (message as ToAgent).frame?.$case === "dispatch";
    return simulatedClient(AgentServiceService, { ...route, tap, isRepeatable });
  }

  #route(from: SimNode, toHost: string, service: string, repeatable: ReadonlySet<string>) {
    return {
      network: this.network,
      from,
      toHost,
      target: () => this.#targets.get(`${toHost} ${service}`),
      onBug: this.onBug,
      repeatable,
      onOpen: (connection: Connection) => {
        this.connections.add(connection);
        return () => this.connections.delete(connection);
      },
    };
  }
}
