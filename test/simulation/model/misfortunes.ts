// What the network's dice say about things that happen inside of a system.
import type { Network } from "../net/network.ts";
import type { EtcdOptions } from "./etcd.ts";
import type { Passage } from "./jetstream/consumer.ts";
import type { JetStreamOptions } from "./jetstream/queue.ts";

export function misfortunes(
  network: Network,
): Pick<EtcdOptions, "lateMs"> & Required<Omit<JetStreamOptions, "clock" | "ackWaitMs">> {
  const { counters } = network;
  return {
    skewMs: network.dice.fork("the server's clock").between(-900, 900),
    /** etcd looks for leases that have ended twice a second, and a new leader gives each its whole time again. */
    lateMs(ttlMs) {
      if (!network.happens("lease late")) return network.dice.between(0, 500);
      counters.add("lease ended late");
      return network.diceOf("lease late").between(501, ttlMs + 1_000);
    },
    passage(): Passage {
      if (network.happens("delivery repeated")) {
        counters.add("delivery repeated");
        return { kind: "repeated" };
      }
      if (network.happens("delivery late")) {
        counters.add("delivery late");
        return { kind: "late", ms: network.diceOf("delivery late").between(1, 5_000) };
      }
      return { kind: "arrives" };
    },
  };
}
