// The queue as one node sees it: blocks are lost, repeated, late and out of order; acks and renewals get lost.
import type { AppError } from "@sluice/core";
import type { Block, Consumer, Delivery, TaskQueue } from "@sluice/queue";
import type { Port } from "./port.ts";

export interface NodeQueueOptions {
  readonly queue: TaskQueue;
  readonly port: Port;
}

export function nodeQueue({ queue, port }: NodeQueueOptions): TaskQueue {
  const { network, node } = port;
  const { dice, counters } = network;

  function fateOf(block: Block): readonly Block[] {
    if (network.happens("block lost")) {
      counters.add("block lost");
      network.trace.add(`BLOCK LOST ${block.seqs.join(" ")}`);
      return [];
    }
    if (network.happens("block repeated")) {
      counters.add("block repeated");
      publishLate(block);
      return [block];
    }
    if (network.happens("block late")) {
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
      return nodeConsumer(consumer, port);
    },
    async [Symbol.asyncDispose]() {},
  };
}

function nodeConsumer(consumer: Consumer, port: Port): Consumer {
  return {
    epoch: consumer.epoch,
    pull: (max, signal) => pull(consumer, port, max, signal),
    ack(deliveries) {
      if (!port.network.happens("ack lost")) return port.call("ack", () => consumer.ack(deliveries));
      port.network.counters.add("ack lost");
      return port.call("ack", async () => undefined);
    },
    renew: (deliveries) => port.call("renew", () => consumer.renew(deliveries)),
    caughtUpTo: () => port.call("caughtUpTo", () => consumer.caughtUpTo()),
    [Symbol.asyncDispose]: () => port.call("close", async () => await consumer[Symbol.asyncDispose]()),
  };
}

/** A pull waits at the queue until something is there; it ends when its caller gives up, is cut off, or dies. */
function pull(consumer: Consumer, port: Port, max: number, signal: AbortSignal): Promise<Delivery[]> {
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
        const isLost = network.isCut("queue", node.host) || network.happens("delivery lost");
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
