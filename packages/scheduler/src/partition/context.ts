// What the loops of one owned partition share. Each field names who writes it.
import type { RouteFollower } from "@sluice/coordination";
import {
  type Clock,
  createWake,
  type ExpectedCosts,
  type FairOrder,
  type Flow,
  type OwnedPartition,
  type Priority,
  type Random,
  type Seq,
  slotCost,
  urgency,
  type Wake,
} from "@sluice/core";
import type { AttemptOutcome } from "@sluice/protocol";
import type { Consumer, Signals, TaskQueue } from "@sluice/queue";
import type { Logger } from "@sluice/runtime";
import type { Store } from "@sluice/store";
import type { AgentDirectory } from "../agents/directory.ts";
import type { AgentLink } from "../agents/link.ts";
import type { Pace } from "../agents/pace.ts";
import type { Shards } from "../agents/shards.ts";
import type { BatchControl } from "../batch-control.ts";
import type { SchedulerConfig } from "../config.ts";
import type { FlowMeter } from "../flow-meter.ts";
import type { AccountCache, FunctionCache, ReservedCache } from "../functions.ts";
import type { SchedulerMetrics } from "../metrics.ts";
import type { Gate } from "./gates.ts";
import type { Homes } from "./homes.ts";
import type { KnownRoute } from "./limits.ts";
import type { LookAhead } from "./look-ahead.ts";
import type { ActiveTask, Memory, Waiting } from "./memory.ts";
import type { Overflown } from "./overflow/overflown.ts";
import type { PendingWrite, PendingWrites } from "./pending-writes.ts";
import { type Preempting, urgentPriority } from "./preempting.ts";
import type { Sights } from "./sights.ts";

/** What every partition gets from its scheduler. */
export interface PartitionDeps {
  readonly config: SchedulerConfig;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: SchedulerMetrics;
  readonly store: Store;
  readonly queue: TaskQueue;
  readonly signals: Signals;
  readonly functions: FunctionCache;
  readonly accounts: AccountCache;
  /** Read for accounts with `concurrencyMax` only. */
  readonly reserved: ReservedCache;
  readonly routes: KnownRoutes;
  /** The routes themselves, for moving rows. */
  readonly followedRoutes: Pick<RouteFollower, "routes" | "watch">;
  /** The shared ones. */
  readonly queues: readonly string[];
  readonly flowMeter: Pick<FlowMeter, "gate">;
  /** What is paused, and what is to be stopped or deleted. */
  readonly batchControl: BatchControl;
  readonly agents: AgentDirectory;
  /** Shared by the partitions of this scheduler, as are `pace` and `shards`. */
  readonly lookAhead: LookAhead;
  readonly pace: Pace;
  readonly shards: Shards;
  /** Whether the lease may still be acted on; asked once per batch. */
  readonly isTrusted: () => boolean;
}

export interface PartitionContext extends PartitionDeps {
  readonly owner: OwnedPartition;
  /** Of the partition. */
  readonly key: string;
  /** One per priority; opened at take-over. */
  readonly consumers: readonly Consumer[];
  readonly memory: Memory;
  readonly order: FairOrder<Waiting>;
  /** What attempts of each flow cost in the order. */
  readonly costs: ExpectedCosts;
  /** What runs of limited flows outside their lanes. */
  readonly homes: Homes;
  /** All of `gates/` as one. */
  readonly gates: Required<Gate>;
  /** Agents that existed at the take-over and have neither answered nor died. Written by `adopt`. */
  readonly unanswered: Set<string>;
  /**
   * Held rows whose attempt a former life of an agent had, or whose agent died unheard: they go with the next attempt, or end
   * as that life says, unless another agent turns out to have it. Written by `adopt`, taken by `dispatch`.
   */
  readonly suspects: Map<Seq, Suspect>;
  /** What was held since the take-over, until everybody has answered. Written by `dispatch` and `adopt`. */
  readonly held: { count: number; readonly flows: Set<string> };
  /** Taken by `settle`. */
  readonly pending: PendingWrites;
  readonly wakeDispatch: Wake;
  readonly wakeSettle: Wake;
  /** By priority. */
  readonly wakePull: Readonly<Record<Priority, Wake>>;
  readonly wakeMarks: Wake;
  readonly wakeUnpark: Wake;
  readonly wakeSweep: Wake;
  readonly wakeHomes: Wake;
  readonly wakeMoves: Wake;
  readonly wakeExpire: Wake;
  readonly wakeResume: Wake;
  readonly wakeOperations: Wake;
  readonly wakeOverflow: Wake;
  readonly wakePreempt: Wake;
  /** Set by a hand-off: nothing is pulled or picked any more. */
  draining: boolean;
  /** Batches between pick and send; a hand-off waits for them. Written by `dispatch`. */
  dispatching: number;
  /** Mean of the rows that were read last. Written by `dispatch`. */
  payloadBytes: number;
  /** Before this time, monotonic, flows that had no room are not looked at again. Written by `pick`. */
  blockedUntil: number;
  /**
   * When each flow was last passed over because of its gates, whatever room its agents had: monotonic, by flow key. Written by
   * `pick` and `backlog`.
   */
  readonly heldBackAt: Map<string, number>;
  /** When a flow whose shard is full may use more agents, monotonic; Infinity: none waits for that. Written by `pick`. */
  growsAt: number;
  readonly sights: Sights;
  /** Flows with parked rows, by flow key. */
  readonly overflown: Map<string, Overflown>;
  /** A task of this priority had expired when its turn came: more of them may be behind it. Written by `dispatch`, taken by `expire`. */
  expiredAtTurn: Priority | undefined;
  /** Who may have others stopped. Written by `preempt`. */
  readonly preempting: Preempting;
  /** Attempts sent so far. Written by `dispatch`. */
  dispatched: number;
  /** Somebody else owns lanes of this partition: everything stops at once. */
  stepDown(reason: string): void;
}

/** Which flows have a queue of their own. */
export interface KnownRoutes {
  of(flow: Flow): KnownRoute;
  /** How old what is known may be, in ms; Infinity: nothing is known yet. */
  ageMs(): number;
}

export interface Suspect {
  /** 0: its agent died unheard. */
  readonly attempt: number;
  /** They have it from a former life, and want a confirmation. */
  readonly witnesses: Set<AgentLink>;
  /** How it ended in a former life; undefined: it was running, or nobody knows. */
  end: RecoveredEnd | undefined;
}

export interface RecoveredEnd {
  readonly link: AgentLink;
  readonly attempt: number;
  readonly outcome: AttemptOutcome;
  readonly startedAtMs: number;
  readonly instanceId: string;
}

export function createWakes(clock: Clock) {
  return {
    wakeDispatch: createWake(clock),
    wakeSettle: createWake(clock),
    wakePull: { 0: createWake(clock), 1: createWake(clock), 2: createWake(clock), 3: createWake(clock) },
    wakeMarks: createWake(clock),
    wakeUnpark: createWake(clock),
    wakeSweep: createWake(clock),
    wakeHomes: createWake(clock),
    wakeMoves: createWake(clock),
    wakeExpire: createWake(clock),
    wakeResume: createWake(clock),
    wakeOperations: createWake(clock),
    wakeOverflow: createWake(clock),
    wakePreempt: createWake(clock),
  };
}

/** Puts numbers in order, by their urgency. */
export function putInOrder(context: PartitionContext, waiting: Waiting): void {
  const { origin, seqs } = waiting;
  context.order.add(origin, urgency(origin), waiting, seqs.length);
  if (origin.priority > urgentPriority) return;
  context.preempting.urgent.add(waiting);
  context.wakePreempt.notify();
}

/** Back in order after it could not be dispatched; its row will be read again. Neither its flow nor a gate is charged for it. */
export function putBack(context: PartitionContext, task: ActiveTask): void {
  leaveAgent(task);
  context.gates.onReleased(task);
  settleCost(context, task, 0);
  putInOrder(context, context.memory.deactivate(task));
  context.wakeDispatch.notify();
}

/**
 * It was read and will not run: no gate is charged for it, but its flow is, for its way through the scheduler. Thousands that
 * have expired, are paused or move would else all go before the next one of anybody else.
 */
export function passBy(context: PartitionContext, task: ActiveTask): void {
  context.gates.onReleased(task);
  settleCost(context, task, Math.min(slotCost(0), task.cost));
}

/** Makes good what its flow was charged for an attempt when it was picked. */
export function settleCost({ order }: PartitionContext, task: ActiveTask, cost: number): void {
  if (cost !== task.cost) order.charge(task.origin, cost - task.cost);
  task.cost = cost;
}

/** Hands a write to the settle loop. */
export function pushWrite(context: PartitionContext, pending: PendingWrite): void {
  context.pending.push(pending);
  context.wakeSettle.notify();
}

/** The attempt takes a slot of the agent. */
export function joinAgent(task: ActiveTask, link: AgentLink): void {
  leaveAgent(task);
  task.link = link;
  task.agentId = link.agentId;
  link.used++;
  const revision = task.function?.revision ?? 0;
  link.usedOfRevision.set(revision, (link.usedOfRevision.get(revision) ?? 0) + 1);
}

/** The attempt takes its slot no longer. */
export function leaveAgent(task: ActiveTask): void {
  const { link } = task;
  if (!link) return;
  task.link = undefined;
  link.used--;
  const revision = task.function?.revision ?? 0;
  const left = (link.usedOfRevision.get(revision) ?? 1) - 1;
  if (left > 0) link.usedOfRevision.set(revision, left);
  else link.usedOfRevision.delete(revision);
}
