// Whose turn is next: by fair share and urgency, as far as there is room.
import { type Seq, urgency } from "@sluice/core";
import type { PartitionContext } from "./context.ts";
import type { GatedFlow } from "./gates.ts";
import type { ActiveTask, Waiting } from "./memory.ts";
import { goesBehindParked, pickedOf } from "./overflow/overflown.ts";
import { takeKept } from "./preempt.ts";
import { freeUpTo, placingOf, shardRoom } from "./room.ts";
import { countWithoutTurn, hasNoTurn } from "./turn.ts";

/** Rows of a partition that may be held, about; after that, flows that have some wait as a whole. */
const heldMax = 10_000;

/**
 * Looking at flows without room takes one such share of the time at most: there may be thousands, and every end of an attempt
 * is an occasion. Meanwhile they are passed over, but for those of which an attempt has ended.
 */
const lookShare = 10;

/** What the payloads of one read should not exceed, as far as those of the last one tell. */
const readBytesMax = 4 * 1024 * 1024;

/** Numbers without a turn that are passed in one go: some ms. */
const passesMax = 100_000;

/**
 * The next numbers, at most as many as their agents have room for, and those that an agent has made room for. Their rows are
 * being read from now on.
 */
export function pick(context: PartitionContext): ActiveTask[] {
  const { order, memory, config, clock } = context;
  if (order.size === 0 || context.pending.isFull) return [];
  const readMax = Math.max(1, Math.floor(readBytesMax / Math.max(1, context.payloadBytes)));
  const taken = takeKept(context);
  let room = freeUpTo(Math.min(config.batchSize, readMax), context);
  const roomOfFlow = new Map<string, number>();
  /** Flows of which the gates let through no more than their agents could be given. */
  const gated = new Set<string>();
  const picked: ActiveTask[] = [...taken];
  let passes = passesMax;
  const now = clock.now();
  const startedAt = clock.monotonic();
  const looksAtAll = startedAt >= context.blockedUntil;
  context.growsAt = Number.POSITIVE_INFINITY;
  if (looksAtAll) order.unblockAll();
  while (room > 0) {
    const waiting = order.peek();
    if (!waiting) break;
    const { origin, flowKey } = waiting;
    const seq = waiting.seqs[waiting.next] as Seq;
    if (hasNoTurn(memory, seq)) {
      // Finished, or somebody is at work on it, since it was put in order.
      const skipped = countWithoutTurn(memory, waiting);
      order.skip(skipped);
      waiting.next += skipped;
      passes -= skipped;
      if (passes > 0) continue;
      // A million that have expired must not hold up everything else.
      context.wakeDispatch.notify();
      break;
    }
    const parked = context.overflown.size > 0 ? context.overflown.get(flowKey) : undefined;
    if (parked && goesBehindParked(parked, urgency(origin), startedAt)) {
      // Once: while nothing can be done for it, the two loops would wake each other for ever.
      if (parked.passedSince === undefined) context.wakeOverflow.notify();
      parked.passedSince ??= startedAt;
      order.block(origin);
      continue;
    }
    let left = roomOfFlow.get(flowKey);
    if (left === undefined) left = flowRoom(context, waiting, { max: room, gated });
    // Another flow of its account may have taken what there was.
    else if (gated.has(flowKey)) left = Math.min(left, context.gates.room(gatedFlow(context, waiting)));
    roomOfFlow.set(flowKey, left - 1);
    if (left <= 0) {
      if (gated.has(flowKey)) context.heldBackAt.set(flowKey, startedAt);
      order.block(origin);
      continue;
    }
    const cost = context.costs.of(flowKey);
    order.take(cost);
    waiting.next++;
    const flow = gatedFlow(context, waiting);
    const task = memory.activate(seq, waiting);
    context.gates.onPicked(flow, task);
    task.dequeuedAt = now;
    task.cost = cost;
    if (parked) {
      pickedOf(parked, urgency(origin));
      if (order.sizeOf(origin) === 0) context.wakeOverflow.notify();
    }
    picked.push(task);
    room--;
  }
  if (looksAtAll) context.blockedUntil = startedAt + lookShare * (clock.monotonic() - startedAt);
  return picked;
}

/** Many of its rows wait for agents that have not answered: reading more would only fill the memory. */
function isHeldBack({ unanswered, held }: PartitionContext, flowKey: string): boolean {
  return unanswered.size > 0 && held.count >= heldMax && held.flows.has(flowKey);
}

/** `max`: more is not asked for. `gated`: it enters if its gates are the strictest. */
function flowRoom(
  context: PartitionContext,
  waiting: Waiting,
  { max, gated }: { readonly max: number; readonly gated: Set<string> },
): number {
  const { flowKey } = waiting;
  if (isHeldBack(context, flowKey)) return 0;
  const flow = gatedFlow(context, waiting);
  const letThrough = context.gates.room(flow);
  let room = Math.min(max, letThrough);
  if (room > 0 && flow.function !== undefined)
    room = shardRoom(context, flowKey, placingOf(context, flow.function), room);
  if (letThrough <= room) gated.add(flowKey);
  return room;
}

function gatedFlow({ functions, memory }: PartitionContext, { origin, flowKey }: Waiting): GatedFlow {
  return { origin, flowKey, function: functions.peek(origin), active: memory.activeOf(flowKey) };
}
