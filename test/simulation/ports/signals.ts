import type { Signals } from "@sluice/queue";
import type { Network } from "../net/network.ts";
import type { SimNode } from "../net/node.ts";

export interface NodeSignalsOptions {
  readonly signals: Signals;
  readonly network: Network;
  readonly node: SimNode;
}

/** Hints from and to one node: late, lost, or repeated. */
export function nodeSignals({ signals, network, node }: NodeSignalsOptions): Signals {
  const { dice, counters } = network;
  const isLost = (from: string, to: string) => {
    const lost = network.isCut(from, to) || network.happens("hint lost");
    if (lost) counters.add("hint lost");
    return lost;
  };
  return {
    send(topic, payload) {
      if (node.isDown || isLost(node.host, "queue")) return;
      network.after(network.latency(), () => signals.send(topic, payload));
      if (network.happens("hint lost")) network.after(dice.between(1, 2_000), () => signals.send(topic, payload));
    },
    listen(topic, listener) {
      let isListening = true;
      const hear = (payload: string) => {
        if (isListening) listener(payload);
      };
      const stop = signals.listen(topic, (payload) => {
        if (isLost("queue", node.host)) return;
        network.after(network.latency(), () => node.enter(() => hear(payload)));
      });
      const stopListening = node.onDown(stop);
      return () => {
        if (!isListening) return;
        isListening = false;
        stopListening();
        stop();
      };
    },
    async [Symbol.asyncDispose]() {},
  };
}
