// Loop: makes the partitions that this scheduler owns equal to those that it is wished to own and whose claims it holds.
//
//   wished ──takeOver──▶ owned ──wish names another, or another shape──▶ handing off ──▶ claim released
//                          └──claim or floor lost──▶ ended at once
//
// Wishes and claims are listed anew at least every `relistEveryMs`; watches only make it faster. Whoever releases a claim wakes
// by that those who wait for it.
//
// Leaving: it says so, and goes on dispatching until the leader (perhaps itself) has wished its partitions to others. Were it
// to release them first, nobody could claim them until then.

import {
  type Claim,
  type Coordinator,
  claimsPrefix,
  type Entry,
  type Membership,
  membersPrefix,
  readMembers,
  readWishes,
  release,
  wishesPrefix,
} from "@sluice/coordination";
import {
  type Clock,
  createWake,
  type Loop,
  type Partition as PartitionName,
  parsePartitionKey,
  partitionKey,
} from "@sluice/core";
import type { TaskQueue } from "@sluice/queue";
import type { Logger } from "@sluice/runtime";
import type { Store } from "@sluice/store";
import type { AgentDirectory } from "./agents/directory.ts";
import type { SchedulerConfig } from "./config.ts";
import type { SchedulerMetrics } from "./metrics.ts";
import type { PartitionDeps } from "./partition/context.ts";
import { createPartition, type Partition } from "./partition/partition.ts";
import { type TakenOver, takeOver } from "./take-over.ts";

export interface OwnPartitionsDeps {
  readonly config: SchedulerConfig;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: SchedulerMetrics;
  readonly store: Store;
  readonly queue: TaskQueue;
  readonly coordinator: Coordinator;
  readonly membership: Membership;
  readonly agents: AgentDirectory;
  readonly partitionDeps: PartitionDeps;
}

export interface OwnPartitions {
  readonly owned: readonly Partition[];
  /** Keys of those that it is wished to own, as of the last look; undefined: there were no wishes yet. */
  readonly wished: readonly string[] | undefined;
  /** Owns until the signal aborts; then hands everything off. */
  readonly run: Loop;
}

interface Owned {
  readonly partition: Partition;
  readonly claim: Claim;
  readonly stop: AbortController;
  readonly done: Promise<void>;
  /** Monotonic; undefined: it is not being handed off. */
  handedOffAt: number | undefined;
}

/** How long one that leaves waits for others to be wished its partitions. */
const leaveMaxMs = 2_000;
const leaveLookMs = 200;

export function createOwnPartitions(deps: OwnPartitionsDeps): OwnPartitions {
  const { config, clock, log, coordinator, membership, metrics } = deps;
  const owned = new Map<string, Owned>();
  const wake = createWake(clock);
  let lastWished: readonly string[] | undefined;
  let isLeaving = false;

  function start({ claim, owner, consumers }: TakenOver): void {
    const key = partitionKey(owner);
    const stop = new AbortController();
    const partition = createPartition(deps.partitionDeps, owner, consumers);
    metrics.takenOver.inc();
    log.info("took over a partition", { partition: key, epoch: owner.epoch });
    const done = partition.run(stop.signal).then(
      () => end(key),
      (cause: unknown) => {
        log.error("a partition failed", { partition: key, cause: String(cause) });
        return end(key);
      },
    );
    owned.set(key, { partition, claim, stop, done, handedOffAt: undefined });
  }

  function handOff(ending: Owned): void {
    ending.handedOffAt ??= clock.monotonic();
    ending.partition.handOff();
  }

  async function end(key: string): Promise<void> {
    const ended = owned.get(key);
    owned.delete(key);
    // If the release is lost, the claim goes with its lease, or is recognised at the next take-over.
    if (ended) await release(coordinator, ended.claim).catch(() => undefined);
    if (ended?.handedOffAt !== undefined) {
      metrics.handOffDuration.observe((clock.monotonic() - ended.handedOffAt) / 1_000);
    }
    wake.notify();
  }

  async function look(): Promise<void> {
    const [wishes, claims] = await Promise.all([readWishes(coordinator), coordinator.list(claimsPrefix)]);
    const wished = new Map<string, PartitionName>();
    for (const { queue, partitions } of wishes) {
      for (const { prefix, ownerId } of partitions) {
        if (ownerId === membership.id) wished.set(partitionKey({ queue, prefix }), { queue, prefix });
      }
    }
    if (wishes.length > 0) lastWished = [...wished.keys()];
    const revisions = new Map(claims.map((entry) => [entry.key.slice(claimsPrefix.length), entry.createRevision]));
    await releaseStray(claims);
    for (const [key, each] of owned) {
      if (revisions.get(key) !== each.claim.createRevision) each.stop.abort();
      else if (!wished.has(key)) handOff(each);
    }
    if (await isCutOff()) {
      for (const each of owned.values()) handOff(each);
      return;
    }
    if (isLeaving) return;
    await Promise.all([...wished].map(([key, partition]) => tryTakeOver(key, partition)));
  }

  async function lookQuietly(): Promise<void> {
    try {
      await look();
    } catch (cause) {
      log.warn("cannot list wishes and claims", { cause: String(cause) });
    }
    metrics.partitions.set(owned.size);
    metrics.waiting.set([...owned.values()].reduce((sum, { partition }) => sum + partition.size, 0));
    metrics.parked.set([...owned.values()].reduce((sum, { partition }) => sum + partition.parked, 0));
    const slowedDown = [...owned.values()].map(({ partition }) => partition.slowedDown());
    metrics.slowedDownFlows.set(slowedDown.reduce((sum, { flows }) => sum + flows, 0));
    metrics.slowedDownRate.set(slowedDown.reduce((sum, { rate }) => sum + rate, 0));
  }

  /** Until everything was handed off, or nobody is there who could take it, or it takes too long. */
  async function leave(): Promise<void> {
    isLeaving = true;
    membership.announce(JSON.stringify({ capacity: config.capacity, draining: true }));
    const until = clock.monotonic() + leaveMaxMs;
    const { signal } = new AbortController();
    const stop = coordinator.watch(membersPrefix, () => wake.notify());
    while (owned.size > 0 && clock.monotonic() < until && (await hasSuccessor())) {
      await lookQuietly();
      if (owned.size > 0) await wake.wait(signal, leaveLookMs);
    }
    stop();
  }

  async function hasSuccessor(): Promise<boolean> {
    try {
      return (await readMembers(coordinator)).some(({ id, isDraining }) => id !== membership.id && !isDraining);
    } catch {
      return true;
    }
  }

  /** A claim of mine that landed after its call was given up would keep everybody else out. */
  async function releaseStray(claims: readonly Entry[]): Promise<void> {
    const lease = membership.lease?.id;
    for (const { key, leaseId, createRevision } of claims) {
      const name = key.slice(claimsPrefix.length);
      if (lease === undefined || leaseId !== lease || owned.has(name)) continue;
      await release(coordinator, { ...parsePartitionKey(name), createRevision });
    }
  }

  async function tryTakeOver(key: string, partition: PartitionName): Promise<void> {
    const { lease } = membership;
    if (owned.has(key) || !lease || !membership.isTrusted()) return;
    const startedAt = clock.monotonic();
    try {
      const taken = await takeOver({ ...deps, schedulerId: membership.id }, partition, lease);
      if (!taken) return;
      metrics.takeOverDuration.observe((clock.monotonic() - startedAt) / 1_000);
      start(taken);
    } catch (cause) {
      log.warn("cannot take over", { partition: key, cause: String(cause) });
    }
  }

  /** Who reaches less than half of the agents leaves its partitions to others, if there are any. */
  async function isCutOff(): Promise<boolean> {
    return deps.agents.isCutOff && (await coordinator.list(membersPrefix)).length > 1;
  }

  return {
    get owned() {
      return [...owned.values()].map(({ partition }) => partition);
    },
    get wished() {
      return lastWished;
    },
    async run(signal) {
      const stops = [wishesPrefix, claimsPrefix].map((prefix) => coordinator.watch(prefix, () => wake.notify()));
      try {
        while (!signal.aborted) {
          await lookQuietly();
          await wake.wait(signal, config.relistEveryMs);
        }
        await leave();
      } finally {
        for (const stop of stops) stop();
        const ending = [...owned.values()];
        for (const each of ending) handOff(each);
        await Promise.all(ending.map(({ done }) => done));
      }
    },
  };
}
