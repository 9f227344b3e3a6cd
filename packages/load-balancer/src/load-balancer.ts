// Loop: of all schedulers one leads, and writes what it wishes: which partitions there are, and which scheduler owns which.
//
//   following ──leader key absent, put under my lease──▶ leading ──▶ each round: members, wishes, loads ─▶ changed wishes
//       ▲                                                  │
//       └────── the key is not mine, or not trusted ───────┘  (stopping: the key is deleted)
//
// Each round looks who leads, so that a campaign whose answer was lost is found. Every wish is written on the condition that
// the leader key is still the one of that round: a leader that was replaced while it was slow changes nothing. And every wish
// is written only if it is still the one that was read, so that what an operator wrote meanwhile stands: the next round sees it.
import {
  type ClusterEvent,
  type Condition,
  type Coordinator,
  eventWrites,
  leaderKey,
  type Member,
  type Membership,
  membersPrefix,
  readLoads,
  readMembers,
  readWishes,
  routesPrefix,
  type Wish,
  withDeadlines,
  writeWish,
} from "@sluice/coordination";
import { AppError, type Clock, createWake, partitionKey, type Random } from "@sluice/core";
import type { Signals } from "@sluice/queue";
import type { Logger } from "@sluice/runtime";
import type { Registry } from "prom-client";
import { decide } from "./decide.ts";
import { createEventBook, type EventBook, eventOfReshape, eventsOfPlan } from "./events.ts";
import { defaultHeatConfig, followHeat, type HeatConfig, type Heats } from "./heat.ts";
import { type LoadBalancerMetrics, loadBalancerMetrics } from "./metrics.ts";
import { defaultOwnerLoadConfig, followOwnerLoads, type OwnerLoadConfig, type OwnerLoads } from "./owner-loads.ts";
import type { Plan } from "./plan.ts";
import { defaultReshapeConfig, type Reshape, type ReshapeConfig } from "./reshape.ts";
import { defaultRoutesConfig, type RoutesConfig } from "./routes/decide-routes.ts";
import { createRoutes, type Routes } from "./routes/routes.ts";
import { defaultSolveConfig, type SolveConfig } from "./throttle/solve.ts";
import { type AdmissionThrottle, createAdmissionThrottle } from "./throttle/throttle.ts";
import type { ReadWeights } from "./throttle/weights.ts";

/** Durations in ms. */
export interface LoadBalancerConfig extends HeatConfig, OwnerLoadConfig, ReshapeConfig, RoutesConfig {
  /** Between two looks at members and wishes, give or take a tenth; hints make it faster. Default 1 s. */
  readonly roundEveryMs: number;
  /** A call to the coordinator fails after so long. Default 1.5 s. */
  readonly callDeadlineMs: number;
  /** When submissions to a queue are refused, and how many. */
  readonly throttle: SolveConfig;
}
export const defaultLoadBalancerConfig: LoadBalancerConfig = {
  roundEveryMs: 1_000,
  callDeadlineMs: 1_500,
  throttle: defaultSolveConfig,
  ...defaultHeatConfig,
  ...defaultOwnerLoadConfig,
  ...defaultReshapeConfig,
  ...defaultRoutesConfig,
};

export interface LoadBalancerOptions {
  readonly coordinator: Coordinator;
  /** Of the scheduler that runs it: the leader key hangs on its lease. */
  readonly membership: Membership;
  /** Over which the api-servers report what is submitted. */
  readonly signals: Signals;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly registry: Registry;
  /** Queues that must have a wish. Others that have one are kept owned as well. */
  readonly queues: readonly string[];
  /**
   * Whether every agent answers. While one does not, a take-over has to hold back rows until it is dead, so partitions that
   * have an owner are left alone. Default: yes.
   */
  readonly isCalm?: () => boolean;
  /** Queues that have rows which are not final. Default: nobody can tell, and queues of flows are kept for ever. */
  readonly queuesInUse?: () => Promise<readonly string[]>;
  /** Removes what a crash has left of the owners of these queues, which nobody owns any more. Default: nothing is left. */
  readonly cleanUp?: (isGone: (queue: string) => boolean) => Promise<void>;
  /** Reads the weights of accounts, by which the shares of a full queue are divided. Default: all have the same. */
  readonly weights?: ReadWeights;
  readonly config?: Partial<LoadBalancerConfig>;
}

export interface LoadBalancer {
  readonly isLeading: boolean;
  /** Campaigns, and leads when elected, until the signal aborts; then resigns. */
  run(signal: AbortSignal): Promise<void>;
}

export function createLoadBalancer(options: LoadBalancerOptions): LoadBalancer {
  return new ElectedLoadBalancer(options);
}

class ElectedLoadBalancer implements LoadBalancer {
  readonly #options: LoadBalancerOptions;
  readonly #config: LoadBalancerConfig;
  readonly #coordinator: Coordinator;
  readonly #metrics: LoadBalancerMetrics;
  readonly #throttle: AdmissionThrottle;
  readonly #routes: Routes;
  readonly #events: EventBook;
  /** Of the rounds that it led. */
  #heats: Heats = new Map();
  #ownerLoads: OwnerLoads = new Map();
  #isLeading = false;

  constructor(options: LoadBalancerOptions) {
    this.#options = options;
    this.#config = { ...defaultLoadBalancerConfig, ...options.config };
    const deadline = { clock: options.clock, deadlineMs: this.#config.callDeadlineMs };
    this.#coordinator = withDeadlines(options.coordinator, deadline);
    this.#metrics = loadBalancerMetrics(options.registry);
    const { clock } = options;
    this.#events = createEventBook({ coordinator: this.#coordinator, clock, metrics: this.#metrics });
    this.#throttle = createAdmissionThrottle({
      coordinator: this.#coordinator,
      signals: options.signals,
      clock: options.clock,
      metrics: this.#metrics,
      config: this.#config.throttle,
      weights: options.weights,
    });
    this.#routes = createRoutes({
      coordinator: this.#coordinator,
      clock: options.clock,
      log: options.log,
      metrics: this.#metrics,
      events: this.#events,
      config: this.#config,
      queuesInUse: options.queuesInUse,
      cleanUp: options.cleanUp,
    });
  }

  get isLeading(): boolean {
    return this.#isLeading;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, coordinator } = this.#options;
    const wake = createWake(clock);
    const stops = [membersPrefix, leaderKey, routesPrefix].map((prefix) =>
      coordinator.watch(prefix, () => wake.notify()),
    );
    stops.push(this.#throttle.listen());
    try {
      while (!signal.aborted) {
        const outcome = await this.#attempt("a round failed; the last wishes stand", () => this.#round());
        this.#metrics.rounds.inc({ outcome: outcome ?? "failed" });
        await wake.wait(signal, this.#config.roundEveryMs * (0.9 + 0.2 * random.next()));
      }
    } finally {
      for (const stop of stops) stop();
    }
    await this.#attempt("could not resign; the leader key ends with its lease", () => this.#resign());
  }

  /** Undefined: it failed, and is logged. What the balancer cannot do now must not stop the scheduler. */
  async #attempt<T>(message: string, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (cause) {
      if (!(cause instanceof AppError)) throw cause;
      this.#options.log.warn(message, { reason: cause.reason, cause: cause.message });
      return undefined;
    }
  }

  async #round(): Promise<"led" | "followed"> {
    const leadership = await this.#campaign();
    this.#setLeading(leadership !== undefined);
    if (leadership === undefined) return "followed";
    const [members, wishes, reports, routes] = await Promise.all([
      readMembers(this.#coordinator),
      readWishes(this.#coordinator),
      readLoads(this.#coordinator),
      this.#routes.read(),
    ]);
    this.#metrics.members.set(members.length);
    this.#metrics.partitions.set(wishes.reduce((sum, { partitions }) => sum + partitions.length, 0));
    const { clock, isCalm = () => true } = this.#options;
    const queues = [...this.#options.queues, ...routes.queues];
    const now = { wall: clock.now(), monotonic: clock.monotonic() };
    this.#heats = followHeat(this.#heats, { wishes, reports, now: now.monotonic }, this.#config);
    this.#ownerLoads = followOwnerLoads(this.#ownerLoads, { wishes, reports, now: now.monotonic }, this.#config);
    const trackers = { heats: this.#heats, ownerLoads: this.#ownerLoads };
    const facts = { queues, members, wishes, ...trackers, now, mayMove: isCalm() };
    const decision = decide(facts, this.#config);
    await this.#write(decision, facts, leadership);
    await this.#reshape(decision.reshape, wishes, leadership);
    await this.#attempt("could not change routes; they stay as they are", () =>
      this.#routes.round({ routes: routes.routes, reports, wishes, leadership }),
    );
    await this.#attempt("could not say whose submissions to refuse; what was said decays", () =>
      this.#throttle.round({ wishes, reports, leadership }),
    );
    await this.#attempt("could not cut the list of events", () => this.#events.round(leadership));
    return "led";
  }

  /** The condition on which this scheduler leads. Undefined: another one does, or nobody yet. */
  async #campaign(): Promise<Condition | undefined> {
    const { membership } = this.#options;
    const { id, lease } = membership;
    if (lease === undefined || !membership.isTrusted()) return undefined;
    const entry = await this.#coordinator.get(leaderKey);
    if (entry !== undefined) {
      const isMine = entry.leaseId === lease.id && entry.value === id;
      return isMine ? { key: leaderKey, createRevision: entry.createRevision } : undefined;
    }
    const event = this.#eventOfLeader({ reason: "elected", from: "", to: id });
    const { succeeded, revision } = await this.#coordinator.commit(
      [{ key: leaderKey, is: "absent" }],
      [{ op: "put", key: leaderKey, value: id, lease }, ...eventWrites([event])],
    );
    if (succeeded) this.#events.count([event]);
    return succeeded ? { key: leaderKey, createRevision: revision } : undefined;
  }

  #eventOfLeader(change: { readonly reason: string; readonly from: string; readonly to: string }): ClusterEvent {
    return { at: this.#options.clock.now(), kind: "leader", figures: {}, queue: "", prefix: "", ...change };
  }

  async #write(
    { wishes, moved }: Plan,
    before: { readonly wishes: readonly Wish[]; readonly members: readonly Member[] },
    leadership: Condition,
  ): Promise<void> {
    const movedNow = new Set(moved);
    const now = this.#options.clock.now();
    const write = async (wish: Wish) => {
      const known = before.wishes.find(({ queue }) => queue === wish.queue);
      const events = eventsOfPlan(known, wish, { members: before.members, now });
      if (!(await writeWish(this.#coordinator, wish, [leadership], eventWrites(events)))) return;
      this.#events.count(events);
      this.#metrics.written.inc();
      this.#options.log.info("changed a wish", { queue: wish.queue, partitions: wish.partitions });
      const keys = wish.partitions.map(({ prefix }) => partitionKey({ queue: wish.queue, prefix }));
      this.#metrics.moved.inc(keys.filter((key) => movedNow.has(key)).length);
    };
    await Promise.all(wishes.map(write));
  }

  async #reshape(change: Reshape | undefined, before: readonly Wish[], leadership: Condition): Promise<void> {
    if (change === undefined) return;
    const { kind, wish, prefix, why } = change;
    const known = before.find(({ queue }) => queue === wish.queue);
    const event = eventOfReshape(change, known, this.#options.clock.now());
    if (!(await writeWish(this.#coordinator, wish, [leadership], eventWrites([event])))) return;
    this.#events.count([event]);
    this.#metrics.written.inc();
    if (kind === "move") this.#metrics.moved.inc();
    else this.#metrics.reshaped.inc({ kind });
    const partition = partitionKey({ queue: wish.queue, prefix });
    this.#options.log.info("changed a shape", { kind, partition, ...why, partitions: wish.partitions });
  }

  async #resign(): Promise<void> {
    const wasLeading = this.#isLeading;
    this.#setLeading(false);
    if (!wasLeading) return;
    const { id } = this.#options.membership;
    const entry = await this.#coordinator.get(leaderKey);
    if (entry?.value !== id) return;
    const unchanged = { key: leaderKey, modRevision: entry.modRevision };
    const event = this.#eventOfLeader({ reason: "resigned", from: id, to: "" });
    const writes = [{ op: "delete", key: leaderKey } as const, ...eventWrites([event])];
    if ((await this.#coordinator.commit([unchanged], writes)).succeeded) this.#events.count([event]);
  }

  #setLeading(isLeading: boolean): void {
    if (isLeading === this.#isLeading) return;
    this.#isLeading = isLeading;
    this.#metrics.isLeader.set(isLeading ? 1 : 0);
    if (!isLeading) {
      this.#metrics.members.set(0);
      this.#metrics.partitions.set(0);
      this.#heats = new Map();
      this.#ownerLoads = new Map();
      this.#throttle.forget();
      this.#routes.forget();
    }
    this.#options.log.info(isLeading ? "leads now" : "leads no more", {});
  }
}
