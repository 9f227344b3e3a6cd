// Loop: while no agent of its flow has room, asks agents to make some for what is urgent.
//
//   urgent waits ──its shard is full for `waitMs`──▶ asked ──"stopping"──▶ stopping ──"kept"──▶ kept ──`takeKept`──▶ sent there
//        ▲                                            │ │────────────────"kept"───────────────────▲
//        ├──"none", "share", no answer: another next──┘ │
//        └──not in time, or the link broke──────────────┴── of each state
//
// The agent says what is stopped: what may be is marked so when it is sent, and lies in other partitions and with other owners as
// a rule. It reports it as stopped to its owner; without the mark of a user on its row that means: preempted (`outcome.ts`), so
// nobody needs to remember it, and an owner that takes over meanwhile comes to the same conclusion. The freed slot is kept for
// the flow of who asked. Agents of an older release tell nothing that may be stopped, and are not asked.
import { type Loop, type Random, type Seq, urgency } from "@sluice/core";
import { type RoomAnswer, RoomState } from "@sluice/protocol";
import type { AgentLink, PartitionPort } from "../agents/link.ts";
import { type Placing, roomFor } from "../agents/place.ts";
import type { PartitionContext } from "./context.ts";
import type { ActiveTask, Waiting } from "./memory.ts";
import { goesBehindParked } from "./overflow/overflown.ts";
import type { Claim, Full } from "./preempting.ts";
import { placingOf } from "./room.ts";
import { hasNoTurn } from "./turn.ts";

/** So long a shard was full, and so much time lies between two looks. */
const waitMs = 100;
const claimsMax = 4;
const answerMs = 1_000;
/** An instance gets a grace to stop. */
const stoppingMs = 30_000;
/** As long as the agent keeps it. */
const keptMs = 2_000;
/** An agent that can stop nothing now. */
const quietMs = 500;
const looksMax = 1_000;

export function preemptLoop(context: PartitionContext, port: PartitionPort): Loop {
  const { clock, preempting, wakePreempt } = context;
  return async (signal) => {
    while (!signal.aborted) {
      if (preempting.urgent.size === 0) {
        preempting.full = new Map();
        await wakePreempt.wait(signal);
      }
      forgetLate(context);
      const waiting = forgetTaken(context);
      const mayAsk = !context.draining && context.unanswered.size === 0 && context.isTrusted();
      if (mayAsk) askForSome(context, port, waiting);
      if (preempting.urgent.size > 0) await clock.sleep(waitMs, signal);
    }
  };
}

/** An agent says what becomes of a question. */
export function roomAnswered(context: PartitionContext, link: AgentLink, { question, state }: RoomAnswer): void {
  const { preempting, clock, wakeDispatch } = context;
  const claim = preempting.claims.find((each) => each.link === link && each.question === question);
  if (!claim) return;
  const now = clock.monotonic();
  const { origin } = claim.waiting;
  switch (state) {
    case RoomState.STOPPING:
      link.shareRefusals.delete(origin.accountId);
      Object.assign(claim, { state: "stopping", until: now + stoppingMs });
      return;
    case RoomState.KEPT:
      link.shareRefusals.delete(origin.accountId);
      Object.assign(claim, { state: "kept", until: now + keptMs });
      wakeDispatch.notify();
      return;
    case RoomState.SHARE:
      link.shareRefusals.add(origin);
      forget(context, claim);
      return;
    default:
      drop(context, claim);
  }
}

/** Urgent ones that an agent has made room for. Their rows are being read from now on. */
export function takeKept(context: PartitionContext): ActiveTask[] {
  const { preempting, memory, gates, order, costs } = context;
  if (preempting.claims.length === 0) return [];
  forgetLate(context);
  const kept = preempting.claims.filter(({ state }) => state === "kept");
  preempting.claims = preempting.claims.filter(({ state }) => state !== "kept");
  return kept.flatMap((claim) => {
    const { link } = claim;
    const next = nextFor(context, claim);
    if (!next || !link.isAttached(context.key)) return [];
    const flow = gatedFlow(context, next.waiting);
    if (gates.room(flow) <= 0) return [];
    // It stays in order, where it has no turn any more: its flow pays for it here.
    const task = memory.activate(next.seq, next.waiting);
    gates.onPicked(flow, task);
    task.cost = costs.of(task.flowKey);
    order.charge(task.origin, task.cost);
    task.dequeuedAt = context.clock.now();
    preempting.keptFor.set(task, link);
    return [task];
  });
}

function askForSome(context: PartitionContext, port: PartitionPort, urgent: readonly Waiting[]): void {
  const { preempting, clock, gates, log } = context;
  const now = clock.monotonic();
  const full = new Map<string, Full>();
  const lookedAt = new Set<string>();
  const turns = new Map<string, number>();
  for (const waiting of urgent) {
    const { flowKey, origin } = waiting;
    if (waitsForParked(context, waiting)) continue;
    lookedAt.add(flowKey);
    if (!full.has(flowKey)) {
      if (!isFull(context, waiting)) continue;
      full.set(flowKey, { since: preempting.full.get(flowKey)?.since ?? now, lookedAt: now });
    }
    if (now - (full.get(flowKey)?.since ?? now) < waitMs || preempting.claims.length >= claimsMax) continue;
    const turnsOfFlow = (turns.get(flowKey) ?? 0) + turnsOf(context, waiting);
    turns.set(flowKey, turnsOfFlow);
    const claimsOfFlow = preempting.claims.filter((claim) => claim.waiting.flowKey === flowKey);
    // Room that a less urgent one has asked for may still take a while.
    const asUrgent = claimsOfFlow.filter((claim) => claim.waiting.origin.priority <= origin.priority);
    if (asUrgent.length >= turnsOfFlow || claimsOfFlow.length >= gates.room(gatedFlow(context, waiting))) continue;
    const link = agentFor(context, waiting);
    const { lane, accountId, functionName, priority } = origin;
    const memoryMb = context.functions.peek(origin)?.settings.memoryMb ?? 0;
    const question = link?.makeRoom(port, { lane, accountId, functionName, priority, memoryMb });
    if (!link || question === undefined) continue;
    const claim: Claim = { waiting, link, question, state: "asked", until: now + answerMs };
    preempting.claims = [...preempting.claims, claim];
    log.debug("asked an agent for room", { agentId: link.agentId, question, flow: flowKey });
  }
  // Of thousands that wait only some are looked at each time: the others are as they were.
  const roundMs = waitMs * Math.ceil(preempting.urgent.size / looksMax);
  for (const [flowKey, last] of preempting.full) {
    if (!lookedAt.has(flowKey) && now - last.lookedAt <= 2 * roundMs) full.set(flowKey, last);
  }
  preempting.full = full;
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

/** Nobody in the flow's shard has room, and the shard will not grow to somebody who has. */
function isFull(context: PartitionContext, { flowKey, origin }: Waiting): boolean {
  const { agents, shards, key } = context;
  const placing = placingFor(context, origin);
  const hasRoom = (link: AgentLink) => link.isAttached(key) && (placing ? roomFor(link, placing) : link.free) > 0;
  const shard = shards.of(flowKey);
  return !shard.links.some(hasRoom) && !(shard.mayGrow && agents.links.some(hasRoom));
}

/** The one with the most that may be stopped, of two: owners that do not talk to each other must not all ask the same one. */
function agentFor(context: PartitionContext, waiting: Waiting): AgentLink | undefined {
  const { shards, key, random } = context;
  const { flowKey, origin } = waiting;
  const placing = placingFor(context, origin);
  const candidates = shards
    .of(flowKey)
    .links.filter(
      (link) =>
        link.isAttached(key) &&
        !link.draining &&
        !link.fenced &&
        link.mayBeAskedForRoom &&
        stoppable(link, waiting) > 0 &&
        !link.shareRefusals.has(waiting.origin) &&
        !isQuiet(context, link, waiting) &&
        (!placing || mayHold(link, placing)),
    );
  const [one, other] = drawTwo(candidates, random);
  return one && other && stoppable(other, waiting) > stoppable(one, waiting) ? other : one;
}

/** With one more slot it could run the task: another bound than the number of its slots is not in the way. */
function mayHold(link: AgentLink, placing: Placing): boolean {
  const { warm, usedOfRevision, usedWhenWarm, instancesMax, memoryMaxMb } = link;
  return roomFor({ free: 1, warm, usedOfRevision, usedWhenWarm, instancesMax, memoryMaxMb }, placing) > 0;
}

function stoppable(link: AgentLink, { origin }: Waiting): number {
  return link.preemptible.reduce((sum, count, priority) => (priority > origin.priority ? sum + count : sum), 0);
}

function drawTwo<T>(candidates: readonly T[], random: Random): (T | undefined)[] {
  if (candidates.length <= 1) return [...candidates];
  const first = Math.floor(random.next() * candidates.length);
  const second = (first + 1 + Math.floor(random.next() * (candidates.length - 1))) % candidates.length;
  return [candidates[first], candidates[second]];
}

/** The most urgent one of the claim's flow that is as urgent as who asked. */
function nextFor(context: PartitionContext, claim: Claim): { seq: Seq; waiting: Waiting } | undefined {
  const { memory, preempting } = context;
  const turnOf = (waiting: Waiting) => {
    if (waitsForParked(context, waiting)) return undefined;
    const seq = waiting.seqs.slice(waiting.next).find((each) => !hasNoTurn(memory, each));
    return seq === undefined ? undefined : { seq, waiting };
  };
  // Who asked is behind others by now, maybe beyond those that are looked at.
  let first = turnOf(claim.waiting);
  let looks = 0;
  for (const waiting of preempting.urgent) {
    if (looks++ >= looksMax) break;
    const { flowKey, origin } = waiting;
    if (flowKey !== claim.waiting.flowKey || origin.priority > claim.waiting.origin.priority) continue;
    if (!first || urgency(origin) < urgency(first.waiting.origin)) first = turnOf(waiting) ?? first;
  }
  return first;
}

function waitsForParked({ overflown, clock }: PartitionContext, { flowKey, origin }: Waiting): boolean {
  const parked = overflown.size > 0 ? overflown.get(flowKey) : undefined;
  return parked !== undefined && goesBehindParked(parked, urgency(origin), clock.monotonic());
}

/** It comes to nothing: the agent is not asked again so soon. */
function drop(context: PartitionContext, claim: Claim): void {
  const { preempting, clock } = context;
  const { link, waiting, state } = claim;
  forget(context, claim);
  if (state !== "asked") return;
  preempting.quiet.set(link, { until: clock.monotonic() + quietMs, priority: waiting.origin.priority });
}

function forget({ preempting }: PartitionContext, claim: Claim): void {
  preempting.claims = preempting.claims.filter((each) => each !== claim);
}

function forgetLate(context: PartitionContext): void {
  const { preempting, clock, key } = context;
  const now = clock.monotonic();
  for (const claim of preempting.claims) {
    if (claim.until <= now || !claim.link.isAttached(key) || claim.link.fenced) drop(context, claim);
  }
}

function isQuiet({ preempting, clock }: PartitionContext, link: AgentLink, { origin }: Waiting): boolean {
  const quiet = preempting.quiet.get(link);
  return quiet !== undefined && clock.monotonic() < quiet.until && origin.priority >= quiet.priority;
}

function turnsOf({ memory }: PartitionContext, { seqs, next }: Waiting): number {
  let turns = 0;
  for (let index = next; index < seqs.length; index++) if (!hasNoTurn(memory, seqs[index] as Seq)) turns++;
  return turns;
}

function placingFor(context: PartitionContext, origin: Waiting["origin"]): Placing | undefined {
  const record = context.functions.peek(origin);
  return record && placingOf(context, record);
}

function gatedFlow({ functions, memory }: PartitionContext, { origin, flowKey }: Waiting) {
  return { origin, flowKey, function: functions.peek(origin), active: memory.activeOf(flowKey) };
}
