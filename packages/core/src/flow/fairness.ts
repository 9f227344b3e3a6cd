// Who is next inside a partition: the account with the smallest weighted share, in it the flow with the smallest weighted
// share, and in that the item with the least urgency.
//
// Shares are virtual times (start-time fair queuing), once between the accounts and once between the flows of each account.
// Serving a party moves its tag by cost/weight; the party with the smallest tag is next; one that comes back after it had
// nothing to do starts at the tag that was served last, so nobody saves up. Deficit round robin would be O(1), but it serves
// in bursts, and a flow would wait for a whole round of 100,000.
import { assert } from "../assert.ts";
import type { AccountId, Flow } from "../ids.ts";
import { IndexedHeap, type Ranked } from "./indexed-heap.ts";

/**
 * An item holds one or more units, each of which is picked by itself: a block of 256 tasks costs as little here as a task.
 *
 * Bound: between two picks of an account that always has something to do, every other account b is picked at most
 * ⌊weight of b / its own weight⌋ + 1 times (at unit cost); the same holds between the flows of one account. With other costs,
 * b is charged at most weight of b / its own weight × what the first of the two picks cost, plus its own dearest pick.
 *
 * So nothing starves. From when nothing in its flow is more urgent, an item waits for one pick of its flow: at most
 * F × (⌊w⌋ + 1) picks of its account, F being the flows of its account that wait and w the largest ratio of their weights to its
 * own, each of which waits for that many picks of each other account that waits. See `urgency` for when that is.
 */
export interface FairOrder<T> {
  /** Units that wait, also those of blocked flows. */
  readonly size: number;
  /** Enters an item; the smallest `urgency` of its flow comes first, the one added first of equals. `units`: default 1. */
  add(flow: Flow, urgency: number, item: T, units?: number): void;
  /** The next item of a flow that is not blocked. */
  peek(): T | undefined;
  /** Takes one unit of it, and charges its flow and account with `cost`; default 1. The item leaves with its last unit. */
  take(cost?: number): T | undefined;
  /** Takes units of the item that `peek` returns, and charges nobody: there is nothing to do for them any more. */
  skip(units: number): void;
  /** The shares of a flow and of its account from now on; until then those of `weightOf`. What was charged before stays. */
  weigh(flow: Flow, weights: Weights): void;
  /**
   * Charges a flow beyond what `take` did, for example with the time that its attempts took; a negative cost is a refund.
   * Without effect on a flow that has been idle long enough to be forgotten.
   */
  charge(flow: Flow, cost: number): void;
  /** Passes over the flow until it is unblocked: it has no room. It does not save up its share meanwhile. */
  block(flow: Flow): void;
  unblock(flow: Flow): void;
  unblockAll(): void;
  /** Units of the flow. */
  sizeOf(flow: Flow): number;
  /** Units of the flow whose items match. Costs as much as the flow is long. */
  countOf(flow: Flow, matches: (item: T, urgency: number) => boolean): number;
  /** Removes the items of a flow that match, and returns them by urgency. Costs as much as the flow is long. */
  remove(flow: Flow, matches: (item: T) => boolean): T[];
  /**
   * Removes the least urgent items of a flow that match, as many as hold `units`, and returns them in any order. Costs as much
   * as the flow is long.
   */
  removeLatest(flow: Flow, units: number, matches: (item: T) => boolean): T[];
  /** Flows that have items, in the order in which they came; for finding the largest. */
  flows(): IterableIterator<{ readonly flow: Flow; readonly size: number; readonly items: number }>;
}

/** Share of an account among the accounts, and of a flow among those of its account; positive. */
export interface Weights {
  readonly account: number;
  readonly flow: number;
}

export interface FairOrderOptions {
  /** Default 1 each. Asked when a flow appears. */
  readonly weightOf?: (flow: Flow) => Weights;
}

const idleKeptMin = 128;
const equalWeights = { account: 1, flow: 1 };

export function createFairOrder<T>({ weightOf = () => equalWeights }: FairOrderOptions = {}): FairOrder<T> {
  return new HierarchicalFairOrder<T>(weightOf);
}

/** `rank` is the virtual time at which it may be served next. */
interface Party extends Ranked {
  weight: number;
}
interface Account<T> extends Party {
  readonly id: AccountId;
  readonly flows: Map<string, FlowQueue<T>>;
  /** Those that have items and are not blocked. */
  readonly eligible: IndexedHeap<FlowQueue<T>>;
  /** Between its flows. */
  readonly time: VirtualTime;
  /** Units of all its flows. */
  size: number;
}
interface FlowQueue<T> extends Party {
  readonly flow: Flow;
  readonly account: Account<T>;
  readonly items: IndexedHeap<Item<T>>;
  /** Units of its items. */
  size: number;
  isBlocked: boolean;
}
interface Item<T> extends Ranked {
  readonly value: T;
  units: number;
}
interface VirtualTime {
  /** Tag of the party that was served last; where a party starts that had nothing to do. */
  now: number;
  /** The highest tag that was given out. When nobody waits any more, everybody starts from here again, without debts. */
  latest: number;
}

class HierarchicalFairOrder<T> implements FairOrder<T> {
  readonly #weightOf: NonNullable<FairOrderOptions["weightOf"]>;
  readonly #accounts = new Map<AccountId, Account<T>>();
  /** Those that have an eligible flow. */
  readonly #eligible = new IndexedHeap<Account<T>>();
  readonly #blocked = new Set<FlowQueue<T>>();
  /** Without items; kept as long as their tags lie ahead, lest a flow escapes its share by running empty. */
  readonly #idle = new Set<FlowQueue<T>>();
  #sweepAt = idleKeptMin;
  readonly #time: VirtualTime = { now: 0, latest: 0 };
  #orders = 0;
  #size = 0;

  constructor(weightOf: NonNullable<FairOrderOptions["weightOf"]>) {
    this.#weightOf = weightOf;
  }

  get size(): number {
    return this.#size;
  }

  add(flow: Flow, urgency: number, item: T, units = 1): void {
    assert(units >= 1, "an item without units would never leave");
    const queue = this.#find(flow) ?? this.#open(flow);
    queue.items.add({ rank: urgency, order: this.#orders++, position: -1, value: item, units });
    this.#count(queue, units);
    this.#refresh(queue);
  }

  peek(): T | undefined {
    return this.#eligible.peek()?.eligible.peek()?.items.peek()?.value;
  }

  take(cost = 1): T | undefined {
    const account = this.#eligible.peek();
    const queue = account?.eligible.peek();
    const item = queue?.items.peek();
    if (account === undefined || queue === undefined || item === undefined) return undefined;
    this.#time.now = Math.max(this.#time.now, account.rank);
    account.time.now = Math.max(account.time.now, queue.rank);
    item.units -= 1;
    if (item.units === 0) queue.items.remove(item);
    this.#charge(queue, cost);
    this.#count(queue, -1);
    this.#refresh(queue);
    return item.value;
  }

  skip(units: number): void {
    const queue = this.#eligible.peek()?.eligible.peek();
    const item = queue?.items.peek();
    if (queue === undefined || item === undefined) return;
    const skipped = Math.min(units, item.units);
    item.units -= skipped;
    if (item.units === 0) queue.items.remove(item);
    this.#count(queue, -skipped);
    this.#refresh(queue);
  }

  weigh(flow: Flow, weights: Weights): void {
    const queue = this.#find(flow);
    if (queue === undefined) return;
    assert(weights.account > 0 && weights.flow > 0, "who has no share would never be served");
    queue.weight = weights.flow;
    queue.account.weight = weights.account;
  }

  charge(flow: Flow, cost: number): void {
    const queue = this.#find(flow);
    if (queue !== undefined) this.#charge(queue, cost);
  }

  block(flow: Flow): void {
    const queue = this.#find(flow) ?? this.#open(flow);
    queue.isBlocked = true;
    this.#blocked.add(queue);
    this.#refresh(queue);
  }

  unblock(flow: Flow): void {
    const queue = this.#find(flow);
    if (queue !== undefined) this.#release(queue);
  }

  unblockAll(): void {
    for (const queue of this.#blocked) this.#release(queue);
  }

  sizeOf(flow: Flow): number {
    return this.#find(flow)?.size ?? 0;
  }

  countOf(flow: Flow, matches: (item: T, urgency: number) => boolean): number {
    const items = this.#find(flow)?.items.values() ?? [];
    return items.reduce((units, item) => (matches(item.value, item.rank) ? units + item.units : units), 0);
  }

  remove(flow: Flow, matches: (item: T) => boolean): T[] {
    const queue = this.#find(flow);
    if (queue === undefined) return [];
    const removed = queue.items.values().filter((item) => matches(item.value));
    for (const item of removed) queue.items.remove(item);
    this.#count(queue, -removed.reduce((units, item) => units + item.units, 0));
    this.#refresh(queue);
    return removed.sort((a, b) => a.rank - b.rank || a.order - b.order).map((item) => item.value);
  }

  removeLatest(flow: Flow, units: number, matches: (item: T) => boolean): T[] {
    const queue = this.#find(flow);
    if (queue === undefined || units <= 0) return [];
    const items = queue.items.values().filter((item) => matches(item.value));
    const bound = latestBound(items, units);
    let removed = 0;
    // Of equals at the bound those that came last, only as many as it takes.
    const atBound: Item<T>[] = [];
    const taken: Item<T>[] = [];
    for (const item of items) {
      if (item.rank < bound) continue;
      if (item.rank === bound) {
        atBound.push(item);
        continue;
      }
      taken.push(item);
      removed += item.units;
    }
    for (const item of atBound.sort((a, b) => b.order - a.order)) {
      if (removed >= units) break;
      taken.push(item);
      removed += item.units;
    }
    for (const item of taken) queue.items.remove(item);
    this.#count(queue, -removed);
    this.#refresh(queue);
    return taken.map((item) => item.value);
  }

  *flows(): ReturnType<FairOrder<T>["flows"]> {
    for (const account of this.#accounts.values()) {
      for (const { flow, size, items } of account.flows.values()) if (size > 0) yield { flow, size, items: items.size };
    }
  }

  #find(flow: Flow): FlowQueue<T> | undefined {
    return this.#accounts.get(flow.accountId)?.flows.get(flow.functionName);
  }

  #open(flow: Flow): FlowQueue<T> {
    const weights = this.#weightOf(flow);
    const account = this.#accounts.get(flow.accountId) ?? this.#openAccount(flow.accountId, weights.account);
    const queue: FlowQueue<T> = {
      ...{ flow, account, weight: weights.flow, items: new IndexedHeap<Item<T>>(), size: 0, isBlocked: false },
      ...{ rank: account.time.now, order: this.#orders++, position: -1 },
    };
    account.flows.set(flow.functionName, queue);
    this.#idle.add(queue);
    return queue;
  }

  #openAccount(id: AccountId, weight: number): Account<T> {
    const account: Account<T> = {
      ...{ id, weight, flows: new Map(), eligible: new IndexedHeap<FlowQueue<T>>(), size: 0 },
      ...{ rank: this.#time.now, order: this.#orders++, position: -1, time: { now: 0, latest: 0 } },
    };
    this.#accounts.set(id, account);
    return account;
  }

  /** Moves the tags of the flow and of its account. */
  #charge(queue: FlowQueue<T>, cost: number): void {
    const { account } = queue;
    account.eligible.update(queue, queue.rank + cost / queue.weight);
    account.time.latest = Math.max(account.time.latest, queue.rank);
    this.#eligible.update(account, account.rank + cost / account.weight);
    this.#time.latest = Math.max(this.#time.latest, account.rank);
  }

  #count(queue: FlowQueue<T>, added: number): void {
    const { account } = queue;
    queue.size += added;
    account.size += added;
    this.#size += added;
    if (account.size === 0) account.time.now = account.time.latest;
    if (this.#size === 0) this.#time.now = this.#time.latest;
    if (queue.size > 0) this.#idle.delete(queue);
    else if (added < 0) this.#idle.add(queue);
    if (this.#idle.size >= this.#sweepAt) this.#forgetIdle();
  }

  #release(queue: FlowQueue<T>): void {
    queue.isBlocked = false;
    this.#blocked.delete(queue);
    this.#refresh(queue);
  }

  /** Makes both heaps agree with whether the flow can be served. */
  #refresh(queue: FlowQueue<T>): void {
    const { account } = queue;
    const canServe = queue.size > 0 && !queue.isBlocked;
    if (canServe && !account.eligible.has(queue)) {
      queue.rank = Math.max(queue.rank, account.time.now);
      account.eligible.add(queue);
    } else if (!canServe) {
      account.eligible.remove(queue);
    }
    if (account.eligible.size > 0 && !this.#eligible.has(account)) {
      account.rank = Math.max(account.rank, this.#time.now);
      this.#eligible.add(account);
    } else if (account.eligible.size === 0) {
      this.#eligible.remove(account);
    }
  }

  /** Forgets idle flows that would come back with the tag of a new one, and accounts that are left with none. */
  #forgetIdle(): void {
    for (const queue of this.#idle) {
      const { account } = queue;
      const isAhead = queue.rank > account.time.now || (account.flows.size === 1 && account.rank > this.#time.now);
      if (queue.isBlocked || isAhead) continue;
      this.#idle.delete(queue);
      account.flows.delete(queue.flow.functionName);
      if (account.flows.size === 0) this.#accounts.delete(account.id);
    }
    // Twice what must be kept, so that looking through them costs nothing per item.
    this.#sweepAt = Math.max(idleKeptMin, 2 * this.#idle.size);
  }
}

/** The highest rank from which on items hold so many units; the lowest of all if they hold fewer. */
function latestBound(items: readonly { readonly rank: number; readonly units: number }[], units: number): number {
  const ranks = Float64Array.from(items, ({ rank }) => rank).sort();
  const unitsFrom = (bound: number) => {
    let sum = 0;
    for (const item of items) if (item.rank >= bound) sum += item.units;
    return sum;
  };
  let low = 0;
  let high = ranks.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (unitsFrom(ranks[middle] as number) >= units) low = middle;
    else high = middle - 1;
  }
  return ranks[low] ?? 0;
}
