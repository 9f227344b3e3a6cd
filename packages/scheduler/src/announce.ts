import { flowKey } from "@sluice/core";
import { type Block, blockSizeMax } from "@sluice/queue";
import type { Announcement } from "@sluice/store";

/** Rows as blocks: those of one flow, lane and priority share them. */
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
  const blocks: Block[] = [];
  for (let start = 0; start < group.length; start += blockSizeMax) {
    const part = group.slice(start, start + blockSizeMax);
    const { accountId, functionName, lane, priority } = part[0] as Announcement;
    blocks.push({
      queue,
      accountId,
      functionName,
      lane,
      priority,
      seqs: part.map(({ seq }) => seq),
      enqueuedAt: part.reduce((oldest, { enqueuedAt }) => Math.min(oldest, enqueuedAt), Number.POSITIVE_INFINITY),
    });
  }
  return blocks;
}
