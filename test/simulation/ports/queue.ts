// The queue as one node sees it: blocks are lost, repeated, late and out of order; acks and renewals get lost.
import type { AppError } from "@sluice/core";
import type { Block, Consumer, Delivery, TaskQueue } from "@sluice/queue";
import type { Port } from "./port.ts";

export interface QueueRates {
  /** A block that was acknowledged to its publisher and is nowhere. */
  readonly blockLost: number;
  readonly blockRepeated: number;
  readonly blockLate: number;
  /** On the way to its consumer; it comes again after `ack_wait`. */
  readonly deliveryLost: number;
  readonly ackLost: number;
}

export interface NodeQueueOptions {
  readonly queue: TaskQueue;
  readonly port: Port;
  readonly rates: () => QueueRates;
}

export function nodeQueue({ queue, port, rates }: NodeQueueOptions): TaskQueue {
  const { network, node } = port;
  const { dice, counters } = network;

  function fateOf(block: Block): readonly Block[] {
    const { blockLost, blockLate, blockRepeated } = rates();
    if (dice.chance(blockLost)) {
      counters.add("block lost");
      network.trace.add(`BLOCK LOST ${block.seqs.join(" ")}`);
      return [];
    }
    if (dice.chance(blockRepeated)) {
      counters.add("block repeated");
      publishLate(block);
      return [block];
    }
    if (dice.chance(blockLate)) {
      counters.add("block late");
      publishLate(block);
      return [];
    }
    return [block];
  }

  function publishLate(block: Block): void {
    network.after(dice.between(1, 5_000), () => void queue.publish([block]).catch(() => undefined));
  }

  return {
    publish(blocks) {
      return port.call("publish", async () => {
        const stored = blocks.flatMap(fateOf);
        if (stored.length > 0) await queue.publish(stored);
      });
    },
    async open(options) {
      const consumer = await port.call("open", () => queue.open(options));
      const name = `${options.queue}/${options.prefix}/${options.priority}@${options.epoch}`;
      network.trace.add(`OPEN ${node.name} ${name}`);
      return nodeConsumer(consumer, port, rates);
    },
    async [Symbol.asyncDispose]() {},
  };
}

function nodeConsumer(consumer: Consumer, port: Port, rates: () => QueueRates): Consumer {
  return {
    epoch: consumer.epoch,
    pull: (max, signal) => pull(consumer, port, rates, max, signal),
    ack(deliveries) {
      if (!port.network.dice.chance(rates().ackLost)) return port.call("ack", () => consumer.ack(deliveries));
      port.network.counters.add("ack lost");
      return port.call("ack", async () => undefined);
    },
    renew: (deliveries) => port.call("renew", () => consumer.renew(deliveries)),
    caughtUpTo: () => port.call("caughtUpTo", () => consumer.caughtUpTo()),
    [Symbol.asyncDispose]: () => port.call("close", async () => await consumer[Symbol.asyncDispose]()),
  };
}

/** A pull waits at the queue until something is there; it ends when its caller gives up, is cut off, or dies. */
function pull(
  consumer: Consumer,
  port: Port,
  rates: () => QueueRates,
  max: number,
  signal: AbortSignal,
): Promise<Delivery[]> {
  const { network, node } = port;
  return new Promise((resolve, reject) => {
    const atQueue = new AbortController();
    let isOver = false;
    const finish = (settle: () => void) =>
      node.enter(() => {
        if (isOver) return;
        isOver = true;
        stopListening();
        signal.removeEventListener("abort", onAbort);
        settle();
      });
    const onAbort = () => {
      finish(() => resolve([]));
      network.after(network.latency(), () => atQueue.abort());
    };
    const stopListening = node.onDown(() => network.after(network.latency(), () => atQueue.abort()));
    signal.addEventListener("abort", onAbort, { once: true });

    const refuse = (error: AppError) =>
      network.after(network.dice.between(100, 2_000), () => finish(() => reject(error)));
    async function ask(): Promise<void> {
      if (network.isCut(node.host, "queue")) {
        refuse(port.unavailable("pull: no route"));
        return;
      }
      try {
        const deliveries = await consumer.pull(max, atQueue.signal);
        const isLost = network.isCut("queue", node.host) || network.dice.chance(rates().deliveryLost);
        if (deliveries.length > 0 && isLost) refuse(port.unavailable("pull: the deliveries were lost"));
        else network.after(network.latency(), () => finish(() => resolve(deliveries)));
      } catch (cause) {
        network.after(network.latency(), () => finish(() => reject(cause as Error)));
      }
    }
    if (signal.aborted) onAbort();
    else node.enter(() => network.after(network.latency(), () => void ask()));
  });
}
