// The queue as one node sees it: blocks are lost, repeated, late and out of order; acks and renewals get lost.
import { createHealthSignal, type HealthSignal } from "@sluice/core";
import type { Block, Consumer, Delivery, TaskQueue } from "@sluice/queue";
import type { ModelConsumer } from "../model/jetstream/consumer.ts";
import type { JetStreamModel } from "../model/jetstream/queue.ts";
import type { Port } from "./port.ts";

export interface NodeQueueOptions {
  readonly queue: JetStreamModel;
  readonly port: Port;
}

export function nodeQueue({ queue, port }: NodeQueueOptions): TaskQueue {
  const { network, node } = port;
  const { counters } = network;

  function fateOf(block: Block): readonly Block[] {
    if (network.happens("block lost")) {
      counters.add("block lost");
      network.trace.add(`BLOCK LOST ${block.seqs.join(" ")}`);
      return [];
    }
    if (network.happens("block repeated")) {
      counters.add("block repeated");
      publishIn(network.diceOf("block repeated").between(1, 5_000), block);
      return [block];
    }
    if (network.happens("block late")) {
      counters.add("block late");
      publishIn(network.diceOf("block late").between(1, 5_000), block);
      return [];
    }
    return [block];
  }

  function publishIn(ms: number, block: Block): void {
    network.after(ms, () => port.system.whenUp(() => void queue.publish([block])));
  }

  return {
    health: healthOf(port),
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
    retire: (isGone) => port.call("retire", () => queue.retire(isGone)),
    async [Symbol.asyncDispose]() {},
  };
}

/** The driver knows when its connection is lost, and says when it is back. */
function healthOf(port: Port): HealthSignal {
  const { network, node, system } = port;
  const health = createHealthSignal();
  const tell = (ms: number) => {
    const isUp = port.isOpen;
    network.after(ms, () => {
      if (isUp === port.isOpen) node.enter(() => health.set(isUp));
    });
  };
  const look = () => {
    if (health.isUp !== port.isOpen) tell(network.dice.between(50, 2_000));
  };
  const stops = [network.onChange(look), system.onChange(look)];
  node.onDown(() => {
    for (const stop of stops) stop();
  });
  tell(1);
  return health;
}

function nodeConsumer(consumer: ModelConsumer, port: Port): Consumer {
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

/**
 * A pull waits at the queue until something is there. It ends when its caller gives up or dies, and when somebody else has
 * taken over; an outage it waits out, as the driver does, and what was lost on the way comes again.
 */
function pull(consumer: ModelConsumer, port: Port, max: number, signal: AbortSignal): Promise<Delivery[]> {
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

    const askAgain = () => network.after(network.dice.between(100, 2_000), () => void ask());
    async function ask(): Promise<void> {
      if (isOver || atQueue.signal.aborted) return;
      if (!port.isOpen) {
        askAgain();
        return;
      }
      try {
        const deliveries = await consumer.pull(max, atQueue.signal);
        if (deliveries.length > 0 && (!port.isOpen || network.happens("delivery lost"))) {
          network.counters.add("delivery lost");
          consumer.lose(deliveries);
          askAgain();
        } else network.after(network.latency(), () => finish(() => resolve(deliveries)));
      } catch (cause) {
        network.after(network.latency(), () => finish(() => reject(cause as Error)));
      }
    }
    if (signal.aborted) onAbort();
    else node.enter(() => network.after(network.latency(), () => void ask()));
  });
}
