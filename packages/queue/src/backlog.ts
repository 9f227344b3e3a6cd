import { type EpochMs, laneCount, lanesOf, type Prefix } from "@sluice/core";
import { Chain, type Linked } from "./chain.ts";
import type { Block } from "./index.ts";
import type { MemoryConsumer } from "./memory-consumer.ts";

/** A block that is not acked yet: in its lane, or in the hands of a consumer. */
export interface StoredBlock extends Linked<StoredBlock> {
  readonly block: Block;
  /** Of publication: a lane is always sorted by it. */
  readonly order: number;
  readonly publishedAt: EpochMs;
  /** By the consumer that has it. */
  deliveryCount: number;
  /** Monotonic; of no meaning in a lane. */
  invisibleUntil: number;
}

/**
 * What waits in one queue with one priority. It is kept by lane, so that splitting and merging partitions moves nothing: a
 * consumer takes the oldest of the heads of its lanes.
 */
export class Backlog {
  readonly consumers = new Set<MemoryConsumer>();
  readonly #lanes = Array.from({ length: laneCount }, () => new Chain<StoredBlock>());
  readonly #stored: { count: number };
  #published = 0;

  /** `stored` counts the blocks of all backlogs of the queue, delivered ones included. */
  constructor(stored: { count: number }) {
    this.#stored = stored;
  }

  append(block: Block, publishedAt: EpochMs): void {
    const order = this.#published++;
    const links = { chain: undefined, next: undefined, previous: undefined };
    this.#lane(block).append({ block, order, publishedAt, deliveryCount: 0, invisibleUntil: 0, ...links });
    this.#stored.count += 1;
  }

  /** The block published first, of the lanes of a partition. */
  oldest(prefix: Prefix): StoredBlock | undefined {
    const { from, until } = lanesOf(prefix);
    let oldest: StoredBlock | undefined;
    for (let lane = from; lane < until; lane++) {
      const head = this.#lanes[lane]?.first;
      if (head !== undefined && (oldest === undefined || head.order < oldest.order)) oldest = head;
    }
    return oldest;
  }

  take(prefix: Prefix): StoredBlock | undefined {
    const oldest = this.oldest(prefix);
    oldest?.chain?.remove(oldest);
    return oldest;
  }

  /** Puts back what a consumer had not acked. It is older than all that waits in the same lanes. */
  giveBack(held: Chain<StoredBlock>): void {
    for (const stored of [...held].sort((a, b) => b.order - a.order)) {
      held.remove(stored);
      stored.deliveryCount = 0;
      this.#lane(stored.block).prepend(stored);
    }
  }

  forget(stored: StoredBlock): void {
    stored.chain?.remove(stored);
    this.#stored.count -= 1;
  }

  #lane(block: Block): Chain<StoredBlock> {
    const lane = this.#lanes[block.lane];
    if (lane === undefined) throw new RangeError(`not a lane: ${block.lane}`);
    return lane;
  }
}
