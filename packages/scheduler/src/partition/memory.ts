// What an owner remembers of a partition: which numbers it has, from which blocks, and how far each has come.
//
//   waiting ──take──▶ reading ──row read──▶ dispatched ──ended──▶ settling ──committed──▶ forgotten
//     ▲                 │  ▲                   │                                            ▲
//     └────put back─────┤  └──release── held   └──missing after a re-attach──▶ waiting      │
//                       └──final, parked, foreign──────────────────────────────────────────-┘
//   waiting ──set aside──▶ leaving ──ended or parked in bulk, its row unread──▶ forgotten
//      ▲──────restored────────┘
//
// A number enters at its pull, before its row is read; a repeat only joins it, so nothing is ever read twice at once.
//
// A million numbers wait in a bad hour, so one that waits is no object: it is an entry of its block's list, of which the
// order holds one item, and an entry of a table that says which block it is from. That is 40 bytes instead of 210, and an
// eighth of the time to enter. It becomes an object when its turn comes, or when an agent names it.
import {
  type AccountId,
  type Epoch,
  type EpochMs,
  type Flow,
  type FunctionName,
  flowKey,
  type Lane,
  type Priority,
  type Seq,
} from "@sluice/core";
import type { Block, Delivery } from "@sluice/queue";
import type { FunctionRecord, TaskRow } from "@sluice/store";
import type { AgentLink } from "../agents/link.ts";
import type { Load } from "./look-ahead.ts";
import { SeqTable } from "./seq-table.ts";

/** Where a number belongs, as its message or its row says. */
export interface Origin extends Flow {
  readonly lane: Lane;
  readonly priority: Priority;
  readonly enqueuedAt: EpochMs;
}

/** Numbers that wait for their turn one after the other: those that a block brought, or one that was put back. */
export interface Waiting {
  readonly origin: Origin;
  readonly flowKey: string;
  readonly seqs: readonly Seq[];
  /** Index of the number whose turn is next. */
  next: number;
}

/** A number whose turn has come. */
export interface ActiveTask {
  readonly seq: Seq;
  readonly origin: Origin;
  readonly flowKey: string;
  /** `leaving`: it is being ended or parked in bulk, unread. */
  state: "reading" | "held" | "dispatched" | "settling" | "leaving";
  function: FunctionRecord | undefined;
  /** These three as the row says; 0 until it was read. */
  attempt: number;
  retries: number;
  lostAttempts: number;
  /** Of the agent that has the attempt. */
  link: AgentLink | undefined;
  agentId: string | undefined;
  dequeuedAt: EpochMs | undefined;
  stopSent: boolean;
  /** Its row says that a user wants it to stop; without that, an attempt that was stopped goes on as the next one. */
  stopMarked: boolean;
  /** What its flow was charged for it. Written by `pick` and `ends`. */
  cost: number;
  /** Of other agents that hold this attempt as lost; they may forget it when it has ended. Written by `adopt`. */
  witnesses: Set<AgentLink> | undefined;
}

/** What is remembered of a row. */
export type KnownRow = Pick<
  TaskRow,
  "accountId" | "functionName" | "lane" | "priority" | "enqueuedAt" | "seq" | "attempt" | "retries" | "lostAttempts"
>;

export interface Memory {
  /** Numbers, waiting and active. */
  readonly size: number;
  /** By priority: the blocks that are not acked, and their numbers. */
  readonly loads: readonly Load[];
  has(seq: Seq): boolean;
  active(seq: Seq): ActiveTask | undefined;
  activeTasks(): Iterable<ActiveTask>;
  /** Numbers of the flow that are active: being read, held, dispatched, or ended and not settled yet. */
  activeOf(flowKey: string): number;
  /** The same of all flows of an account. */
  activeOfAccount(accountId: string): number;
  /** Takes in a block. Returns the numbers that are new, if any; the others joined what was there. */
  enter(delivery: Delivery): Waiting | undefined;
  /** Takes in a block that has not been delivered yet; its delivery will join it. */
  enterEarly(block: Block): Waiting | undefined;
  /**
   * Sets aside those that nobody is at work on, also ones that are not in memory: until they are forgotten or restored they have
   * no turn, and what is delivered of them joins. Returns them.
   */
  setAside(seqs: readonly Seq[]): Seq[];
  /** Back to waiting after it was set aside; the caller puts it in order again. Undefined: no block has brought it. */
  restore(seq: Seq): Waiting | undefined;
  /** Makes a number that waits active: the reading of its row starts. */
  activate(seq: Seq, waiting: Pick<Waiting, "origin" | "flowKey">): ActiveTask;
  /** Makes a number active that an agent or a mark named, and whose row was read. */
  activateRow(row: KnownRow, state: ActiveTask["state"]): ActiveTask;
  /** Back to waiting; the caller puts it in order again. */
  deactivate(task: ActiveTask): Waiting;
  /** Finished: settled, parked or not ours. Blocks without open numbers can be taken from `takeAckable`. */
  forget(seq: Seq): void;
  takeAckable(): Delivery[];
  /** Every block of a priority that is not acked; for renewal. */
  openDeliveries(priority: Priority): Delivery[];
  /**
   * When the oldest block was enqueued that has a number which waits for its turn.
   * @param notBefore Blocks of a flow count from then on, if they are older. Default: none does.
   */
  oldestWaiting(notBefore?: (flow: Flow) => EpochMs): EpochMs | undefined;
}

/** A block with numbers that are not finished. It is acked when `open` is 0. */
interface OpenBlock {
  readonly block: Block;
  /** Of the block, and of repeats of it with the same numbers; none yet if it entered early. */
  readonly deliveries: Delivery[];
  /** In `blocks`. */
  readonly slot: number;
  open: number;
}

/** Deliveries of a block that are kept. One that is forgotten comes again once more, when the block is finished. */
const repeatsMax = 4;

/** In the table: an agent or a mark named the number, and no block has brought it. */
const noBlock = 0;

export function createMemory(): Memory {
  /** Each number's slot in `blocks`. */
  const slots = new SeqTable();
  const blocks: (OpenBlock | undefined)[] = [undefined];
  const freeSlots: number[] = [];
  /** Numbers that more than one block brought: the further ones. */
  const joined = new Map<Seq, OpenBlock[]>();
  const active = new Map<Seq, ActiveTask>();
  const activeOfFlow = new Map<string, number>();
  const activeOfAccount = new Map<string, number>();
  const loads: Load[] = Array.from({ length: 4 }, () => ({ blocks: 0, tasks: 0 }));
  let ackable: Delivery[] = [];

  function open(block: Block, delivery: Delivery | undefined): OpenBlock {
    const slot = freeSlots.pop() ?? blocks.length;
    const opened: OpenBlock = { block, deliveries: delivery ? [delivery] : [], slot, open: block.seqs.length };
    blocks[slot] = opened;
    count(block, 1);
    return opened;
  }

  function count({ priority, seqs }: Block, sign: 1 | -1): void {
    const load = loads[priority] as Load;
    load.blocks += sign;
    load.tasks += sign * seqs.length;
  }

  function finishOne(block: OpenBlock): void {
    block.open--;
    if (block.open > 0) return;
    blocks[block.slot] = undefined;
    freeSlots.push(block.slot);
    if (block.deliveries.length === 0) count(block.block, -1);
    for (const delivery of block.deliveries) {
      count(block.block, -1);
      ackable.push(delivery);
    }
  }

  /** The open block that brought exactly these numbers, none of which is finished. */
  function sameBlock({ seqs }: Block): OpenBlock | undefined {
    const slot = slots.get(seqs[0] as Seq);
    const block = slot === undefined ? undefined : blocks[slot];
    if (block?.open !== seqs.length) return undefined;
    const known = block.block.seqs;
    return known.length === seqs.length && known.every((seq, index) => seq === seqs[index]) ? block : undefined;
  }

  /** The usual repeat: a whole queue may be delivered again and again, and must not cost an object per number. */
  function repeat(block: OpenBlock, delivery: Delivery): void {
    if (block.deliveries.length > 0) count(block.block, 1);
    block.deliveries.push(delivery);
    if (block.deliveries.length <= repeatsMax) return;
    block.deliveries.splice(0, 1);
    count(block.block, -1);
  }

  function enter(brought: Block, delivery: Delivery | undefined): Waiting | undefined {
    const same = sameBlock(brought);
    if (same) {
      if (delivery) repeat(same, delivery);
      return undefined;
    }
    const { seqs } = brought;
    const block = open(brought, delivery);
    const fresh: Seq[] = [];
    for (const seq of seqs) {
      const before = slots.add(seq, block.slot);
      if (before === undefined) fresh.push(seq);
      else if (before === noBlock) slots.set(seq, block.slot);
      else join(seq, block);
    }
    if (fresh.length === 0) return undefined;
    return { origin: brought, flowKey: flowKey(brought), seqs: fresh.length === seqs.length ? seqs : fresh, next: 0 };
  }

  function join(seq: Seq, block: OpenBlock): void {
    const others = joined.get(seq);
    if (others) others.push(block);
    else joined.set(seq, [block]);
  }

  function activate(seq: Seq, origin: Origin, flowKey: string, state: ActiveTask["state"]): ActiveTask {
    const task = aTask(seq, origin, flowKey, state);
    active.set(seq, task);
    addTo(activeOfFlow, flowKey, 1);
    addTo(activeOfAccount, origin.accountId, 1);
    slots.add(seq, noBlock);
    return task;
  }

  function leave(seq: Seq): void {
    const task = active.get(seq);
    if (task === undefined) return;
    active.delete(seq);
    if (task.state === "leaving") return;
    addTo(activeOfFlow, task.flowKey, -1);
    addTo(activeOfAccount, task.origin.accountId, -1);
  }

  return {
    get size() {
      return slots.size;
    },
    loads,
    has: (seq) => slots.has(seq),
    active: (seq) => active.get(seq),
    activeTasks: () => active.values(),
    activeOf: (flow) => activeOfFlow.get(flow) ?? 0,
    activeOfAccount: (accountId) => activeOfAccount.get(accountId) ?? 0,
    enter: (delivery) => enter(delivery.block, delivery),
    enterEarly: (block) => enter(block, undefined),
    setAside(seqs) {
      const taken: Seq[] = [];
      for (const seq of seqs) {
        if (active.has(seq)) continue;
        active.set(seq, aTask(seq, nowhere, "", "leaving"));
        slots.add(seq, noBlock);
        taken.push(seq);
      }
      return taken;
    },
    restore(seq) {
      if (active.get(seq)?.state !== "leaving") return undefined;
      active.delete(seq);
      const block = blocks[slots.get(seq) ?? noBlock];
      if (block) return { origin: block.block, flowKey: flowKey(block.block), seqs: [seq], next: 0 };
      slots.take(seq);
      return undefined;
    },
    activate: (seq, { origin, flowKey }) => activate(seq, origin, flowKey, "reading"),
    activateRow(row, state) {
      const { accountId, functionName, lane, priority, enqueuedAt } = row;
      const origin = { accountId, functionName, lane, priority, enqueuedAt };
      const task = activate(row.seq, origin, flowKey(row), state);
      rememberRow(task, row);
      return task;
    },
    deactivate({ seq, origin, flowKey }) {
      leave(seq);
      return { origin, flowKey, seqs: [seq], next: 0 };
    },
    forget(seq) {
      leave(seq);
      const slot = slots.take(seq);
      if (slot === undefined) return;
      const block = blocks[slot];
      if (block) finishOne(block);
      const others = joined.size > 0 ? joined.get(seq) : undefined;
      if (!others) return;
      joined.delete(seq);
      for (const other of others) finishOne(other);
    },
    takeAckable() {
      const taken = ackable;
      ackable = [];
      return taken;
    },
    openDeliveries: (priority) =>
      blocks.flatMap((block) => (block?.block.priority === priority ? block.deliveries : [])),
    oldestWaiting(notBefore) {
      const waits = (seq: Seq) => slots.has(seq) && !active.has(seq);
      let oldest: EpochMs | undefined;
      for (const block of blocks) {
        if (block === undefined) continue;
        const { enqueuedAt, seqs } = block.block;
        if (oldest !== undefined && enqueuedAt >= oldest) continue;
        const from = notBefore === undefined ? enqueuedAt : Math.max(enqueuedAt, notBefore(block.block));
        if (oldest !== undefined && from >= oldest) continue;
        // The last ones of a block are the last to have their turn. An older block in which none waits has a number that an
        // agent has: there are not more of these than slots.
        if (seqs.findLast(waits) !== undefined) oldest = from;
      }
      return oldest;
    },
  };
}

/** Of numbers that are set aside: nobody asks where those belong. */
const nowhere: Origin = {
  accountId: "" as AccountId,
  functionName: "" as FunctionName,
  lane: 0,
  priority: 2,
  enqueuedAt: 0,
};

function aTask(seq: Seq, origin: Origin, flowKey: string, state: ActiveTask["state"]): ActiveTask {
  return {
    seq,
    origin,
    flowKey,
    state,
    function: undefined,
    attempt: 0,
    retries: 0,
    lostAttempts: 0,
    link: undefined,
    agentId: undefined,
    dequeuedAt: undefined,
    stopSent: false,
    stopMarked: false,
    cost: 0,
    witnesses: undefined,
  };
}

function addTo(counts: Map<string, number>, key: string, change: 1 | -1): void {
  const count = (counts.get(key) ?? 0) + change;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}

/** What settling needs of a row. The rest is not kept: its payload may be large. */
export function rememberRow(task: ActiveTask, { attempt, retries, lostAttempts }: KnownRow): void {
  task.attempt = attempt;
  task.retries = retries;
  task.lostAttempts = lostAttempts;
}

/** Whether an earlier owner may have dispatched a row. */
export function mayBeOld(row: { readonly stamp: Epoch }, epoch: Epoch): boolean {
  return row.stamp < epoch;
}
