// Loop: while no agent has room, stops what may be stopped for what is urgent.
//
//   urgent waits ──nobody has room for `waitMs`──▶ victim is told to stop ──it ended──▶ `takeClaimed` gives its slot to the urgent one
//                                                        └── it succeeds before: that counts, and its slot is free as well
//
// A victim is preemptible, of lower priority, runs in this partition, on an agent that may run the urgent one; the one that was
// started last has lost the least. Its agent reports it as stopped; without the mark of a user on its row that means: preempted
// (`outcome.ts`), so nobody needs to remember it, and an owner that takes over meanwhile comes to the same conclusion.
import type { Loop, Seq } from "@sluice/core";
import type { AgentLink, PartitionPort } from "../agents/link.ts";
import { roomFor } from "../agents/place.ts";
import type { PartitionContext } from "./context.ts";
import type { ActiveTask, Waiting } from "./memory.ts";
import type { Claim } from "./preempting.ts";
import { freeUpTo, placingOf } from "./room.ts";
import { hasNoTurn } from "./turn.ts";

/** So long nobody had room, and so much time lies between two stops. */
const waitMs = 100;
const claimsMax = 4;
/** An instance gets a grace to stop. */
const claimMs = 30_000;
/** Attempts of a task that may be stopped so, or meet flow control: after that it is left alone. */
const preemptionsMax = 3;
const looksMax = 1_000;

export function preemptLoop(context: PartitionContext, port: PartitionPort): Loop {
  const { clock, preempting, wakePreempt } = context;
  return async (signal) => {
    let fullSince = Number.POSITIVE_INFINITY;
    while (!signal.aborted) {
      forgetLate(context);
      if (preempting.urgent.size === 0) {
        fullSince = Number.POSITIVE_INFINITY;
        await wakePreempt.wait(signal);
      }
      const now = clock.monotonic();
      fullSince = isFull(context) ? Math.min(fullSince, now) : Number.POSITIVE_INFINITY;
      const mayStop = !context.draining && context.unanswered.size === 0 && context.isTrusted();
      if (mayStop && now - fullSince >= waitMs && preempting.claims.length < claimsMax) stopOne(context, port);
      else if (preempting.urgent.size > 0) forgetTaken(context);
      if (preempting.urgent.size > 0) await clock.sleep(waitMs, signal);
    }
  };
}

/** The urgent ones whose victims have ended, as far as there is room. Their rows are being read from now on. */
export function takeClaimed(context: PartitionContext, max: number): ActiveTask[] {
  const { preempting, memory, gates, order, costs } = context;
  if (preempting.claims.length === 0) return [];
  const taken: ActiveTask[] = [];
  const left: Claim[] = [];
  for (const claim of preempting.claims) {
    const { waiting, seq, victim } = claim;
    if (hasNoTurn(memory, seq)) continue;
    if (isRunning(context, victim) || taken.length >= max) {
      left.push(claim);
      continue;
    }
    const flow = gatedFlow(context, waiting);
    if (gates.room(flow) <= 0) continue;
    // It stays in order, where it has no turn any more: its flow pays for it here.
    const task = memory.activate(seq, waiting);
    gates.onPicked(flow);
    task.cost = costs.of(waiting.flowKey);
    order.charge(waiting.origin, task.cost);
    task.dequeuedAt = context.clock.now();
    taken.push(task);
  }
  preempting.claims = left;
  return taken;
}

function stopOne(context: PartitionContext, port: PartitionPort): void {
  const { preempting, owner, metrics, log } = context;
  for (const waiting of forgetTaken(context)) {
    const seq = waiting.seqs
      .slice(waiting.next)
      .find((each) => !hasNoTurn(context.memory, each) && !isClaimed(context, each));
    if (seq === undefined || context.gates.room(gatedFlow(context, waiting)) <= 0) continue;
    const victim = victimFor(context, waiting);
    if (!victim?.link) continue;
    const ref = { seq: victim.seq, attempt: victim.attempt, queue: owner.queue, lane: victim.origin.lane };
    if (!victim.link.stop(port, [ref])) continue;
    preempting.victims.add(victim);
    preempting.claims = [...preempting.claims, { waiting, seq, victim, until: context.clock.monotonic() + claimMs }];
    metrics.preempted.inc();
    log.debug("preempted an attempt", { seq: victim.seq, attempt: victim.attempt, urgent: seq });
    return;
  }
}

/** Looks at some of them, and returns those that still wait: urgent before high, and the oldest first. */
function forgetTaken({ preempting: { urgent }, memory }: PartitionContext): Waiting[] {
  const live: Waiting[] = [];
  let looks = 0;
  for (const waiting of urgent) {
    if (looks++ >= looksMax) break;
    urgent.delete(waiting);
    if (waiting.seqs.slice(waiting.next).some((seq) => !hasNoTurn(memory, seq))) live.push(waiting);
  }
  // Behind the others, so that all of them are looked at in turn.
  for (const waiting of live) urgent.add(waiting);
  return live.sort((a, b) => a.origin.priority - b.origin.priority || a.origin.enqueuedAt - b.origin.enqueuedAt);
}

function victimFor(context: PartitionContext, waiting: Waiting): ActiveTask | undefined {
  const { memory, preempting, functions, shards, key } = context;
  const { origin, flowKey } = waiting;
  const record = functions.peek(origin);
  const shard = new Set(shards.of(flowKey).links);
  const placing = record && placingOf(context, record);
  const fits = (link: AgentLink, victim: ActiveTask) => {
    if (!link.isAttached(key) || link.draining || !shard.has(link)) return false;
    if (!placing || placing.revision === victim.function?.revision) return true;
    const { warm, usedOfRevision, usedWhenWarm, instancesMax, memoryMaxMb } = link;
    return roomFor({ free: 1, warm, usedOfRevision, usedWhenWarm, instancesMax, memoryMaxMb }, placing) > 0;
  };
  let last: ActiveTask | undefined;
  for (const task of memory.activeTasks()) {
    if (task.state !== "dispatched" || !task.link || task.stopSent || preempting.victims.has(task)) continue;
    if (task.function?.settings.preemptible !== true || task.origin.priority <= origin.priority) continue;
    if (task.attempt - 1 - task.retries - task.lostAttempts >= preemptionsMax) continue;
    if (last && (task.dequeuedAt ?? 0) < (last.dequeuedAt ?? 0)) continue;
    if (fits(task.link, task)) last = task;
  }
  return last;
}

function forgetLate({ preempting, clock }: PartitionContext): void {
  const now = clock.monotonic();
  for (const { victim, until } of preempting.claims) if (until <= now) preempting.victims.delete(victim);
  preempting.claims = preempting.claims.filter(({ until }) => until > now);
}

function isFull(context: PartitionContext): boolean {
  const { agents, key } = context;
  return freeUpTo(1, context) === 0 && agents.links.some((link) => link.isAttached(key));
}

function isClaimed({ preempting }: PartitionContext, seq: Seq): boolean {
  return preempting.claims.some((claim) => claim.seq === seq);
}

function isRunning({ memory }: PartitionContext, victim: ActiveTask): boolean {
  return victim.state === "dispatched" && memory.active(victim.seq) === victim;
}

function gatedFlow({ functions, memory }: PartitionContext, { origin, flowKey }: Waiting) {
  return { origin, flowKey, function: functions.peek(origin), active: memory.activeOf(flowKey) };
}
