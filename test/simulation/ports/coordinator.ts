import type { Coordinator } from "@sluice/coordination";
import type { Port } from "./port.ts";

export interface NodeCoordinatorOptions {
  readonly coordinator: Coordinator;
  readonly port: Port;
}

/** The coordinator as one node sees it. */
export function nodeCoordinator({ coordinator, port }: NodeCoordinatorOptions): Coordinator {
  const { network, node } = port;
  return {
    grant: (ttlMs) => port.call("grant", () => coordinator.grant(ttlMs)),
    renew: (lease) => port.call("renew", () => coordinator.renew(lease)),
    revoke: (lease) => port.call("revoke", () => coordinator.revoke(lease)),
    get: (key) => port.call("get", () => coordinator.get(key)),
    list: (prefix) => port.call("list", () => coordinator.list(prefix)),
    commit(conditions, operations) {
      return port.call("commit", async () => {
        const result = await coordinator.commit(conditions, operations);
        const changed = operations.map(({ op, key }) => `${op} ${key}`).join(", ");
        network.trace.add(`COMMIT ${node.name} ${changed} ${result.succeeded} @${result.revision}`);
        return result;
      });
    },
    watch(prefix, onHint) {
      const stop = coordinator.watch(prefix, () => {
        if (network.isCut("coordinator", node.host) || network.happens("hint lost")) {
          network.counters.add("hint lost");
          return;
        }
        network.after(network.latency(), () => node.enter(onHint));
      });
      const stopListening = node.onDown(stop);
      return () => {
        stopListening();
        stop();
      };
    },
    async [Symbol.asyncDispose]() {},
  };
}
