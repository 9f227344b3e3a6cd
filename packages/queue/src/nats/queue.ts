import type { HealthSignal, OwnedPartition, Partition, Priority } from "@sluice/core";
import type { Block, Consumer, TaskQueue } from "../index.ts";
import { type ConsumerDeps, NatsConsumer } from "./consumer.ts";
import { staleEpoch, unavailable } from "./failures.ts";
import { hearBlocks } from "./hearing.ts";
import { openConsumer } from "./open-consumer.ts";
import type { Publisher } from "./publisher.ts";
import { checkQueueName, parseConsumerName, parseSubject, sharesBlocks, streamSubject } from "./subjects.ts";

export interface NatsQueueOptions extends ConsumerDeps {
  readonly publisher: Publisher;
  readonly health: HealthSignal;
}

export class NatsQueue implements TaskQueue {
  readonly health: HealthSignal;
  readonly #options: NatsQueueOptions;
  /** Of this process. The server knows all, and decides. */
  #consumers: readonly NatsConsumer[] = [];
  #isClosed = false;

  constructor(options: NatsQueueOptions) {
    this.health = options.health;
    this.#options = options;
  }

  fullness(): number | undefined {
    return this.#options.stream.fullness.share();
  }

  async publish(blocks: readonly Block[]): Promise<void> {
    if (this.#isClosed) throw closed();
    await this.#options.publisher.publish(blocks);
  }

  async open(share: OwnedPartition & { readonly priority: Priority }): Promise<Consumer> {
    if (this.#isClosed) throw closed();
    checkQueueName(share.queue);
    const session = this.#options.connection.require();
    await openConsumer(this.#options, session, share);
    if (this.#isClosed) throw closed();
    // They would learn it from the server; this is sooner, and a consumer of the same name must not be in two hands.
    for (const other of this.#consumers) {
      if (sharesBlocks(other.share, share)) other.end(staleEpoch(other.share, share.epoch));
    }
    const consumer = new NatsConsumer(this.#options, session, share);
    this.#consumers = [...this.#consumers.filter(({ hasEnded }) => !hasEnded), consumer];
    return consumer;
  }

  async retire(isGone: (queue: string) => boolean): Promise<void> {
    if (this.#isClosed) throw closed();
    const { api } = this.#options.connection.require();
    const gone = (await api.consumerNames()).filter((name) => {
      const share = parseConsumerName(name);
      return share !== undefined && isGone(share.queue);
    });
    await Promise.all(gone.map((name) => api.deleteConsumer(name)));
    const filled = new Set(
      (await api.subjects(streamSubject)).flatMap((subject) => parseSubject(subject)?.queue ?? []),
    );
    await Promise.all([...filled].filter(isGone).map((queue) => api.purge(`t.${queue}.>`)));
  }

  hear(partition: Partition, listener: (block: Block) => void): () => void {
    checkQueueName(partition.queue);
    return hearBlocks(this.#options, partition, listener);
  }

  /** Ends its consumers here; on the server they stay for their successors. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    for (const consumer of this.#consumers) consumer.end(closed());
    this.#consumers = [];
  }
}

function closed() {
  return unavailable("the queue is closed");
}
