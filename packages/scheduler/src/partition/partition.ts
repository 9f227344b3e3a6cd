// One owned partition: its memory and its loops, from the end of the take-over until the hand-off or a step-down.
//
//   owned ──handOff()──▶ draining ──nothing in flight──▶ ended
//     └──── stale or lost ────────────────────────────▶ ended (at once)
import {
  createExpectedCosts,
  createFairOrder,
  type Flow,
  type OwnedPartition,
  partitionKey,
  priorities,
  runAll,
  type Seq,
} from "@sluice/core";
import type { Consumer } from "@sluice/queue";
import type { PartitionPort } from "../agents/link.ts";
import { usableMs } from "../functions.ts";
import { createPort } from "./adopt.ts";
import { type Backlog, backlogOf, parkedOf } from "./backlog.ts";
import { createWakes, leaveAgent, type PartitionContext, type PartitionDeps, type Suspect } from "./context.ts";
import { type Demand, demandOf } from "./demand.ts";
import { dispatchLoop } from "./dispatch.ts";
import { expireLoop } from "./expire.ts";
import { type AdaptiveGate, adaptiveGate } from "./gates/adaptive.ts";
import { limitsGate } from "./gates/limits.ts";
import { lostAgentsGate } from "./gates/lost-agents.ts";
import { outdatedGate } from "./gates/outdated.ts";
import { pausedGate } from "./gates/paused.ts";
import { allGates } from "./gates.ts";
import { createHomes, flowLimits } from "./homes.ts";
import { createMemory, type Waiting } from "./memory.ts";
import { moveLoop } from "./move.ts";
import { operationsLoop } from "./operations.ts";
import type { Overflown } from "./overflow/overflown.ts";
import { overflowLoop } from "./overflow.ts";
import { PendingWrites } from "./pending-writes.ts";
import { preemptLoop } from "./preempt.ts";
import { createPreempting } from "./preempting.ts";
import { pullLoop, renewLoop } from "./pull.ts";
import { resumeLoop } from "./resume.ts";
import { settleLoop } from "./settle.ts";
import { createSights } from "./sights.ts";
import { sweepLoop } from "./sweep.ts";
import { marksLoop, purgeLoop, unparkLoop } from "./upkeep.ts";

export interface Partition {
  readonly owner: OwnedPartition;
  /** Numbers in memory; for metrics and tests. */
  readonly size: number;
  /** Attempts sent so far. */
  readonly dispatched: number;
  /** What waits now, as far as it is known. */
  backlog(): Backlog;
  /** Those of it that are parked, as counted last. */
  readonly parked: number;
  /** Flows of which anything waits, and how much. */
  flows(): Iterable<{ readonly flow: Flow; readonly size: number }>;
  /** What it could have running. */
  demand(): Demand;
  /** Flows that flow-control errors hold back. */
  slowedDown: AdaptiveGate["slowedDown"];
  /** Whether every agent that existed at the take-over has answered or died. */
  readonly allAnswered: boolean;
  /**
   * Asks the store whether this is still the owner, and its consumers for their position. False: somebody else owns it.
   * Rejects when one of them does not answer.
   */
  isServed(): Promise<boolean>;
  /** Runs until it was handed off, is owned by somebody else, or the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  /** Stops pulling, finishes the dispatch in flight, commits what has ended before, and ends. Running attempts go on. */
  handOff(): void;
}

/** How long a hand-off waits for writes that do not come through. */
const handOffMaxMs = 1_000;
const handOffLookMs = 3;

export function createPartition(deps: PartitionDeps, owner: OwnedPartition, consumers: readonly Consumer[]): Partition {
  const ended = new AbortController();
  const log = deps.log.child({ partition: partitionKey(owner), epoch: owner.epoch });
  const adaptive = adaptiveGate({ ...deps, log });
  const context: PartitionContext = {
    ...deps,
    ...createWakes(deps.clock),
    log,
    owner,
    key: partitionKey(owner),
    consumers,
    memory: createMemory(),
    order: createFairOrder<Waiting>(),
    costs: createExpectedCosts(),
    homes: createHomes(() => context),
    gates: allGates([
      pausedGate(deps.batchControl, owner.queue),
      outdatedGate(deps.clock),
      lostAgentsGate(deps.shards),
      deps.flowMeter.gate,
      adaptive,
      limitsGate({
        now: () => deps.clock.monotonic(),
        queue: owner.queue,
        prefix: owner.prefix,
        limitsOf: ({ origin, function: record }) => flowLimits(context, origin, record),
        activeOf: (flowKey) => context.memory.activeOf(flowKey),
        activeOfAccount: (accountId) => context.memory.activeOfAccount(accountId),
        reservedOf: (accountId, youngerThanMs) => deps.reserved.peek(accountId, youngerThanMs),
        runningElsewhere: (flow, limits, home) => context.homes.runningElsewhere(flow, limits, home),
        allAnswered: () => context.unanswered.size === 0 && deps.routes.ageMs() < usableMs,
      }),
    ]),
    unanswered: new Set<string>(),
    suspects: new Map<Seq, Suspect>(),
    held: { count: 0, flows: new Set<string>() },
    pending: new PendingWrites(),
    draining: false,
    dispatching: 0,
    payloadBytes: 0,
    sights: createSights(deps.clock),
    overflown: new Map<string, Overflown>(),
    expiredAtTurn: undefined,
    blockedUntil: 0,
    heldBackAt: new Map<string, number>(),
    growsAt: Number.POSITIVE_INFINITY,
    preempting: createPreempting(),
    dispatched: 0,
    stepDown(reason) {
      if (ended.signal.aborted) return;
      log.warn("stepped down", { reason });
      deps.metrics.steppedDown.inc();
      ended.abort();
    },
  };

  async function drain(signal: AbortSignal): Promise<void> {
    const until = deps.clock.monotonic() + handOffMaxMs;
    const isBusy = () => context.dispatching > 0 || context.pending.size > 0;
    while (!signal.aborted && isBusy() && deps.clock.monotonic() < until) await deps.clock.sleep(handOffLookMs, signal);
    ended.abort();
  }

  async function loops(port: PartitionPort, signal: AbortSignal): Promise<void> {
    const barrierEndsAt = deps.clock.monotonic() + deps.config.barrierGraceMs;
    await runAll(
      signal,
      ...priorities.map((priority) => pullLoop(context, consumers[priority] as Consumer, priority)),
      renewLoop(context),
      dispatchLoop(context, port, barrierEndsAt),
      settleLoop(context, port),
      marksLoop(context, port),
      unparkLoop(context),
      sweepLoop(context),
      expireLoop(context),
      overflowLoop(context),
      purgeLoop(context),
      preemptLoop(context, port),
      resumeLoop(context),
      operationsLoop(context),
      context.homes.run,
      moveLoop(context),
    );
  }

  return {
    owner,
    get size() {
      return context.memory.size;
    },
    get dispatched() {
      return context.dispatched;
    },
    backlog: () => backlogOf(context),
    get parked() {
      return parkedOf(context);
    },
    flows: () => context.order.flows(),
    demand: () => demandOf(context),
    slowedDown: () => adaptive.slowedDown(),
    get allAnswered() {
      return context.unanswered.size === 0;
    },
    async isServed() {
      const asked = [deps.store.lanes.read(owner, []), ...consumers.map((consumer) => consumer.caughtUpTo())] as const;
      return (await Promise.all(asked))[0] !== "stale";
    },
    async run(outer) {
      const signal = AbortSignal.any([outer, ended.signal]);
      const port = createPort(context, signal);
      const stopWatching = deps.batchControl.watch(() => context.wakeDispatch.notify());
      const leaveLookAhead = deps.lookAhead.join(context.memory.loads);
      try {
        // Agents that register after this list was read were handed floors that are as high as this epoch.
        await deps.agents.attach(port, context.unanswered);
        await loops(port, signal);
      } finally {
        ended.abort();
        leaveLookAhead();
        stopWatching();
        deps.agents.detach(port);
        for (const task of context.memory.activeTasks()) leaveAgent(task);
        await Promise.allSettled(consumers.map((consumer) => consumer[Symbol.asyncDispose]()));
        log.info("partition ended");
      }
    },
    handOff() {
      if (context.draining) return;
      context.draining = true;
      void drain(ended.signal);
    },
  };
}
