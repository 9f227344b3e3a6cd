// Loop: of all schedulers one leads, and writes what it wishes: which scheduler owns which partition.
//
//   following ──leader key absent, put under my lease──▶ leading ──▶ each round: members and wishes ─▶ plan ─▶ changed wishes
//       ▲                                                  │
//       └────── the key is not mine, or not trusted ───────┘  (stopping: the key is deleted)
//
// Each round looks who leads, so that a campaign whose answer was lost is found. Every wish is written on the condition that
// the leader key is still the one of that round: a leader that was replaced while it was slow changes nothing.
import {
  type Condition,
  type Coordinator,
  leaderKey,
  type Membership,
  membersPrefix,
  readWishes,
  type Wish,
  withDeadlines,
  writeWish,
} from "@sluice/coordination";
import { AppError, type Clock, createWake, partitionKey, type Random } from "@sluice/core";
import type { Logger } from "@sluice/runtime";
import type { Registry } from "prom-client";
import { parseMember } from "./members.ts";
import { type LoadBalancerMetrics, loadBalancerMetrics } from "./metrics.ts";
import { type Plan, plan } from "./plan.ts";

/** Durations in ms. */
export interface LoadBalancerConfig {
  /** Between two looks at members and wishes, give or take a tenth; hints make it faster. Default 1 s. */
  readonly roundEveryMs: number;
  /** A call to the coordinator fails after so long. Default 1.5 s. */
  readonly callDeadlineMs: number;
  /** A partition that moved stays for so long, unless its owner goes. Default 30 s. */
  readonly restMs: number;
}
export const defaultLoadBalancerConfig: LoadBalancerConfig = {
  roundEveryMs: 1_000,
  callDeadlineMs: 1_500,
  restMs: 30_000,
};

export interface LoadBalancerOptions {
  readonly coordinator: Coordinator;
  /** Of the scheduler that runs it: the leader key hangs on its lease. */
  readonly membership: Membership;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly registry: Registry;
  /** Queues that must have a wish. Others that have one are kept owned as well. */
  readonly queues: readonly string[];
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
  /** When partitions moved, by key, monotonic; those that rest. */
  readonly #movedAt = new Map<string, number>();
  #isLeading = false;

  constructor(options: LoadBalancerOptions) {
    this.#options = options;
    this.#config = { ...defaultLoadBalancerConfig, ...options.config };
    const deadline = { clock: options.clock, deadlineMs: this.#config.callDeadlineMs };
    this.#coordinator = withDeadlines(options.coordinator, deadline);
    this.#metrics = loadBalancerMetrics(options.registry);
  }

  get isLeading(): boolean {
    return this.#isLeading;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, coordinator } = this.#options;
    const wake = createWake(clock);
    const stops = [membersPrefix, leaderKey].map((prefix) => coordinator.watch(prefix, () => wake.notify()));
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
    const { queues } = this.#options;
    const members = (await this.#coordinator.list(membersPrefix)).map(parseMember);
    const wishes = await readWishes(this.#coordinator);
    const planned = plan({ queues, members, wishes, pinned: this.#resting() });
    this.#metrics.members.set(members.length);
    this.#metrics.partitions.set(wishes.reduce((sum, { partitions }) => sum + partitions.length, 0));
    await this.#write(planned, leadership);
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
    const { succeeded, revision } = await this.#coordinator.commit(
      [{ key: leaderKey, is: "absent" }],
      [{ op: "put", key: leaderKey, value: id, lease }],
    );
    return succeeded ? { key: leaderKey, createRevision: revision } : undefined;
  }

  async #write({ wishes, moved }: Plan, leadership: Condition): Promise<void> {
    const movedNow = new Set(moved);
    const write = async (wish: Wish) => {
      if (!(await writeWish(this.#coordinator, wish, [leadership]))) return;
      this.#metrics.written.inc();
      this.#options.log.info("changed a wish", { queue: wish.queue, partitions: wish.partitions });
      const keys = wish.partitions.map(({ prefix }) => partitionKey({ queue: wish.queue, prefix }));
      for (const key of keys.filter((key) => movedNow.has(key))) {
        this.#metrics.moved.inc();
        this.#movedAt.set(key, this.#options.clock.monotonic());
      }
    };
    await Promise.all(wishes.map(write));
  }

  #resting(): ReadonlySet<string> {
    const since = this.#options.clock.monotonic() - this.#config.restMs;
    for (const [key, movedAt] of this.#movedAt) {
      if (movedAt <= since) this.#movedAt.delete(key);
    }
    return new Set(this.#movedAt.keys());
  }

  async #resign(): Promise<void> {
    const wasLeading = this.#isLeading;
    this.#setLeading(false);
    if (!wasLeading) return;
    const { id } = this.#options.membership;
    const entry = await this.#coordinator.get(leaderKey);
    if (entry?.value !== id) return;
    const unchanged = { key: leaderKey, modRevision: entry.modRevision };
    await this.#coordinator.commit([unchanged], [{ op: "delete", key: leaderKey }]);
  }

  #setLeading(isLeading: boolean): void {
    if (isLeading === this.#isLeading) return;
    this.#isLeading = isLeading;
    this.#metrics.isLeader.set(isLeading ? 1 : 0);
    if (!isLeading) {
      this.#metrics.members.set(0);
      this.#metrics.partitions.set(0);
      this.#movedAt.clear();
    }
    this.#options.log.info(isLeading ? "leads now" : "leads no more", {});
  }
}
