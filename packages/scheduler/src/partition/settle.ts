// Loop: commits what has been decided, in groups: one write in flight, and everything that comes meanwhile goes with the
// next. It does not ask whether the lease is trusted: the floor refuses what a stale owner writes, and running tasks are to be
// settled also while coordination is away. Only after the commit the blocks are acked, the agents may forget the results, and watchers get their hint.
import type { Loop, Seq } from "@sluice/core";
import type { AttemptRef } from "@sluice/protocol";
import { changedTopic } from "@sluice/queue";
import type { TaskWrite } from "@sluice/store";
import type { AgentLink, PartitionPort } from "../agents/link.ts";
import { type PartitionContext, putInOrder } from "./context.ts";
import type { PendingWrite } from "./pending-writes.ts";
import { ackFinished } from "./pull.ts";

const retryMs = 200;

export function settleLoop(context: PartitionContext, port: PartitionPort): Loop {
  return async (signal) => {
    while (!signal.aborted) {
      if (context.pending.size === 0) await context.wakeSettle.wait(signal, context.config.unparkEveryMs);
      const group = takeGroup(context);
      if (group.length > 0 && !(await settle(context, port, group, signal))) {
        context.pending.putBack(group);
        await context.clock.sleep(retryMs, signal);
      }
    }
  };
}

/** That an attempt runs is not worth a write once it has ended. */
function takeGroup(context: PartitionContext): PendingWrite[] {
  return context.pending
    .take(context.config.batchSize)
    .filter(({ write }) => write.kind !== "running" || context.memory.active(write.seq)?.state === "dispatched");
}

/** False: the outcome is not known; the same writes again are harmless, also when the first ones come late, because their guards hold once. */
async function settle(
  context: PartitionContext,
  port: PartitionPort,
  group: readonly PendingWrite[],
  signal: AbortSignal,
): Promise<boolean> {
  const startedAt = context.clock.monotonic();
  let applied: boolean[] | "stale";
  try {
    applied = await context.store.lanes.write(
      context.owner,
      group.map(({ write }) => write),
    );
  } catch (cause) {
    context.log.warn("cannot settle", { count: group.length, cause: String(cause) });
    return false;
  }
  if (applied === "stale") {
    context.metrics.staleWrites.inc(group.length);
    context.stepDown("a write was refused by the floor");
    return true;
  }
  if (signal.aborted) return true;
  context.metrics.settleDuration.observe((context.clock.monotonic() - startedAt) / 1000);
  context.metrics.settleSize.observe(group.length);
  finish(context, port, group, applied);
  return true;
}

/** A first try of the write may have parked the row, which was taken out again since: its message has joined, and does not come again. */
function readAgain(context: PartitionContext, seq: Seq): void {
  const task = context.memory.active(seq);
  if (task) putInOrder(context, context.memory.deactivate(task));
}

function keepsAttempt(write: TaskWrite): boolean {
  return write.kind === "park" && write.nextAttempt === write.attempt;
}

function finish(
  context: PartitionContext,
  port: PartitionPort,
  group: readonly PendingWrite[],
  applied: readonly boolean[],
): void {
  const confirmed = new Map<AgentLink, AttemptRef[]>();
  const changed: number[] = [];
  const settled = new Map<string, number>();
  let parked = false;
  for (const [index, { write, confirmTo }] of group.entries()) {
    if (applied[index]) {
      changed.push(write.seq);
      const status = write.kind === "settle" ? write.status : write.kind;
      settled.set(status, (settled.get(status) ?? 0) + 1);
    } else context.metrics.refusedWrites.inc();
    if (write.kind === "running") continue;
    parked ||= write.kind === "park";
    // Its pause has ended since its row was read: whoever resumed it has looked already.
    const isPaused = write.kind === "park" && write.reason === "pause";
    if (isPaused && !context.batchControl.isPausedUntil(write.dueAt)) context.wakeResume.notify();
    const holders = new Set(context.memory.active(write.seq)?.witnesses);
    for (const link of context.suspects.get(write.seq)?.witnesses ?? []) holders.add(link);
    context.suspects.delete(write.seq);
    if (confirmTo) holders.add(confirmTo);
    if (!applied[index] && keepsAttempt(write)) readAgain(context, write.seq);
    else context.memory.forget(write.seq);
    const ref = { seq: write.seq, attempt: write.attempt, queue: context.owner.queue, lane: write.lane };
    for (const holder of holders) {
      const refs = confirmed.get(holder);
      if (refs) refs.push(ref);
      else confirmed.set(holder, [ref]);
    }
  }
  for (const [status, count] of settled) context.metrics.settled.inc({ status }, count);
  for (const [link, refs] of confirmed) link.confirm(port, refs);
  ackFinished(context);
  if (changed.length > 0) context.signals.send(changedTopic, changed.join(","));
  context.log.debug("settled tasks", { seqs: changed, refused: group.length - changed.length });
  if (parked) context.wakeUnpark.notify();
  // Slots and flows may have room again.
  context.wakeDispatch.notify();
}
