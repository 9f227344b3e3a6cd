// Numbers in the order whose turn will not come: they are finished, or somebody is at work on them.
import type { Seq } from "@sluice/core";
import type { PartitionContext } from "./context.ts";
import type { Memory, Waiting } from "./memory.ts";

export function hasNoTurn(memory: Memory, seq: Seq): boolean {
  return !memory.has(seq) || memory.active(seq) !== undefined;
}

/** How many of the item's numbers, from the next one on. */
export function countWithoutTurn(memory: Memory, { seqs, next }: Waiting): number {
  let at = next;
  while (at < seqs.length && hasNoTurn(memory, seqs[at] as Seq)) at++;
  return at - next;
}

/** Removes the items that have nothing else: they would count as waiting until their turn. Looks at everything that waits. */
export function dropFinished({ order, memory }: PartitionContext): void {
  const isFinished = (waiting: Waiting) => countWithoutTurn(memory, waiting) === waiting.seqs.length - waiting.next;
  for (const { flow } of [...order.flows()]) order.remove(flow, isFinished);
}
