// What an owner remembers of a partition: which numbers it has, from which blocks, and how far each has come.
//
//   pulled ──take──▶ reading ──row read──▶ dispatched ──ended──▶ settling ──committed──▶ forgotten
//     ▲                 │  ▲                   │                                            ▲
//     └────put back─────┤  └──release── held   └──missing after a re-attach──▶ pulled       │
//                       └──final, parked, foreign─────────────────────────────────────────-─┘
//
// A number enters at its pull, before its row is read; a repeat only joins it, so nothing is ever read twice at once.
import type { Epoch, EpochMs, Flow, Lane, Priority, Seq } from "@sluice/core";
import type { Delivery } from "@sluice/queue";
import type { FunctionRecord, TaskRow } from "@sluice/store";
import type { AgentLink } from "../agents/link.ts";

/** A block with numbers that are not finished yet. Acked when `open` is 0. */
export interface OpenBlock {
  readonly delivery: Delivery;
  readonly priority: Priority;
  open: number;
}

/** A number that waits for its turn. */
export interface Waiting extends Flow {
  readonly seq: Seq;
  readonly lane: Lane;
  readonly priority: Priority;
  readonly enqueuedAt: EpochMs;
}

/** What settling needs of a row; the payload is not kept. */
export type RowFacts = Omit<TaskRow, "payload">;

/** A number whose turn has come. */
export interface ActiveTask {
  readonly seq: Seq;
  readonly waiting: Waiting;
  state: "reading" | "held" | "dispatched" | "settling";
  row: RowFacts | undefined;
  function: FunctionRecord | undefined;
  attempt: number;
  /** Of the agent that has the attempt. */
  link: AgentLink | undefined;
  agentId: string | undefined;
  dequeuedAt: EpochMs | undefined;
  stopSent: boolean;
}

export interface Memory {
  readonly size: number;
  /** Blocks of a priority that are not acked. */
  blockCountOf(priority: Priority): number;
  has(seq: Seq): boolean;
  active(seq: Seq): ActiveTask | undefined;
  activeTasks(): Iterable<ActiveTask>;
  /** Takes in a block. Returns the numbers that are new; the others joined what was there. */
  enter(delivery: Delivery): Waiting[];
  /** Makes a number active: the reading of its row starts, or an agent named it. */
  activate(waiting: Waiting, state: ActiveTask["state"]): ActiveTask;
  /** Back to waiting; the caller puts it in order again. */
  deactivate(task: ActiveTask): Waiting;
  /** Finished: settled, parked or not ours. Blocks without open numbers can be taken from `ackable`. */
  forget(seq: Seq): void;
  takeAckable(): OpenBlock[];
  /** Every block that is not acked; for renewal. */
  openBlocks(): Iterable<OpenBlock>;
}

export function createMemory(): Memory {
  // One block in nearly every case; several when the broker repeated a message or a row was announced again.
  const holders = new Map<Seq, OpenBlock | OpenBlock[] | undefined>();
  const active = new Map<Seq, ActiveTask>();
  const blocks = new Set<OpenBlock>();
  const counts = [0, 0, 0, 0] as [number, number, number, number];
  let ackable: OpenBlock[] = [];

  function done(block: OpenBlock): void {
    block.open--;
    if (block.open > 0) return;
    blocks.delete(block);
    counts[block.priority]--;
    ackable.push(block);
  }

  return {
    get size() {
      return holders.size;
    },
    blockCountOf: (priority) => counts[priority],
    has: (seq) => holders.has(seq),
    active: (seq) => active.get(seq),
    activeTasks: () => active.values(),
    enter(delivery) {
      const { block } = delivery;
      const open: OpenBlock = { delivery, priority: block.priority, open: block.seqs.length };
      blocks.add(open);
      counts[block.priority]++;
      const fresh: Waiting[] = [];
      for (const seq of block.seqs) {
        const before = holders.get(seq);
        if (!holders.has(seq)) {
          const { accountId, functionName, lane, priority, enqueuedAt } = block;
          fresh.push({ seq, accountId, functionName, lane, priority, enqueuedAt });
        }
        holders.set(seq, before === undefined ? open : Array.isArray(before) ? [...before, open] : [before, open]);
      }
      return fresh;
    },
    activate(waiting, state) {
      const task: ActiveTask = {
        seq: waiting.seq,
        waiting,
        state,
        row: undefined,
        function: undefined,
        attempt: 0,
        link: undefined,
        agentId: undefined,
        dequeuedAt: undefined,
        stopSent: false,
      };
      active.set(waiting.seq, task);
      if (!holders.has(waiting.seq)) holders.set(waiting.seq, undefined);
      return task;
    },
    deactivate(task) {
      active.delete(task.seq);
      return task.waiting;
    },
    forget(seq) {
      const held = holders.get(seq);
      holders.delete(seq);
      active.delete(seq);
      if (Array.isArray(held)) for (const block of held) done(block);
      else if (held) done(held);
    },
    takeAckable() {
      const taken = ackable;
      ackable = [];
      return taken;
    },
    openBlocks: () => blocks,
  };
}

/** Whether an earlier owner may have dispatched a row. */
export function mayBeOld(row: { readonly stamp: Epoch }, epoch: Epoch): boolean {
  return row.stamp < epoch;
}
