// Tells schedulers of recorded tasks.
//
//   waiting ──blocks──▶ publishing ──stored──▶ waiting
//                           └──failed──▶ backing off ──▶ publishing (the same blocks and what came since)
//
// Only `run` publishes; `announce` adds to the backlog. A block that is lost or dropped costs time, not a task: the sweeper
// finds its rows.
import { type Clock, createWake, flowKey, type Random } from "@sluice/core";
import { type Block, blockSizeMax, type TaskQueue } from "@sluice/queue";
import type { Logger } from "@sluice/runtime";
import type { ApiServerMetrics } from "../metrics.ts";
import type { Recorded } from "./recorder.ts";

export interface Announcer {
  /** Never waits and never fails. */
  announce(group: readonly Recorded[]): void;
  /** Publishes until the signal aborts, then once more when `drained` resolves. */
  run(signal: AbortSignal, drained: () => Promise<void>): Promise<void>;
}

export interface AnnouncerOptions {
  readonly queue: TaskQueue;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: ApiServerMetrics;
  readonly blocksMax: number;
}

/** Blocks of one publish; all must be stored before the next ones go. */
const publishBlocksMax = 1_000;
const backOffMs = { first: 100, max: 5_000 };

export function createAnnouncer({ queue, clock, random, log, metrics, blocksMax }: AnnouncerOptions): Announcer {
  let backlog: Block[] = [];
  const wake = createWake(clock);

  async function publishSome(): Promise<void> {
    const blocks = backlog.slice(0, publishBlocksMax);
    await queue.publish(blocks);
    backlog = backlog.slice(blocks.length);
    metrics.announced.inc(blocks.length);
    metrics.announceBacklog.set(backlog.length);
  }

  return {
    announce(group) {
      const blocks = blocksOf(group);
      const room = Math.max(0, blocksMax - backlog.length);
      for (const block of blocks.slice(0, room)) backlog.push(block);
      const dropped = blocks.slice(room).reduce((sum, block) => sum + block.seqs.length, 0);
      if (dropped > 0) {
        metrics.announceDropped.inc(dropped);
        log.warn("left announcements to the sweeper", { tasks: dropped, backlog: backlog.length });
      }
      metrics.announceBacklog.set(backlog.length);
      if (blocks.length > 0) wake.notify();
    },
    async run(signal, drained) {
      let failures = 0;
      while (!signal.aborted) {
        if (backlog.length === 0) {
          await wake.wait(signal);
          continue;
        }
        try {
          await publishSome();
          if (failures > 0) log.info("publishing again", { backlog: backlog.length });
          failures = 0;
        } catch (cause) {
          metrics.announceFailures.inc();
          if (failures === 0) log.warn("cannot publish; trying again", { cause, backlog: backlog.length });
          failures += 1;
          const ceiling = Math.min(backOffMs.max, backOffMs.first * 2 ** Math.min(failures, 10));
          await clock.sleep(ceiling * (0.5 + random.next() / 2), signal);
        }
      }
      await drained();
      try {
        while (backlog.length > 0) await publishSome();
      } catch (cause) {
        log.warn("left announcements to the sweeper at the end", { cause, backlog: backlog.length });
      }
    },
  };
}

/** Blocks of at most 256 tasks of one flow, lane and priority. Parked tasks are announced by the owner of their lane. */
export function blocksOf(group: readonly Recorded[]): Block[] {
  const blocks: Block[] = [];
  const open = new Map<string, { seqs: number[] }>();
  for (const { task, outcome } of group) {
    if (outcome.kind !== "inserted" || task.delayMs > 0) continue;
    const key = `${flowKey(task)}/${task.queue}/${task.lane}/${task.priority}`;
    const found = open.get(key);
    if (found !== undefined && found.seqs.length < blockSizeMax) {
      found.seqs.push(outcome.seq);
      continue;
    }
    const { accountId, functionName, queue, lane, priority } = task;
    const seqs = [outcome.seq];
    // The rows of a group are accepted at the same time: the first is as old as the others.
    blocks.push({ accountId, functionName, queue, lane, priority, seqs, enqueuedAt: outcome.enqueuedAt });
    open.set(key, { seqs });
  }
  return blocks;
}
