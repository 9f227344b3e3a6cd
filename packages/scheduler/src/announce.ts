import { flowKey } from "@sluice/core";
import { type Block, blockSizeMax } from "@sluice/queue";
import type { Announcement } from "@sluice/store";

/**
 * A block has one place in the order of its flow, that of its oldest task: rows that were submitted farther apart than this must
 * not share one, or late ones would pass early ones of other blocks. Half of the smallest patience.
 */
const spreadMsMax = 5_000;

/** Rows as blocks, the oldest first: those of one flow, lane and priority share them, as far as they were submitted together. */
export function blocksOf(queue: string, announcements: readonly Announcement[]): Block[] {
  const groups = new Map<string, Announcement[]>();
  for (const announcement of announcements) {
    const key = `${flowKey(announcement)} ${announcement.lane} ${announcement.priority}`;
    const group = groups.get(key);
    if (group) group.push(announcement);
    else groups.set(key, [announcement]);
  }
  return [...groups.values()].flatMap((group) => split(queue, group));
}

function split(queue: string, group: readonly Announcement[]): Block[] {
  const sorted = [...group].sort((a, b) => a.enqueuedAt - b.enqueuedAt || a.seq - b.seq);
  const blocks: Block[] = [];
  for (let start = 0; start < sorted.length; ) {
    const { accountId, functionName, lane, priority, enqueuedAt } = sorted[start] as Announcement;
    const part = sorted
      .slice(start, start + blockSizeMax)
      .filter((each) => each.enqueuedAt <= enqueuedAt + spreadMsMax);
    const seqs = part.map(({ seq }) => seq);
    blocks.push({ queue, accountId, functionName, lane, priority, seqs, enqueuedAt });
    start += part.length;
  }
  return blocks;
}
