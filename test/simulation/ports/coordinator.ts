import type { Coordinator } from "@sluice/coordination";
import type { EtcdModel } from "../model/etcd.ts";
import type { Port } from "./port.ts";

export interface NodeCoordinatorOptions {
  readonly coordinator: EtcdModel;
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
      const hint = () => {
        if (coordinator.isSilent(node.host)) network.counters.add("hint lost in a silent watch");
        else if (!port.isOpen || network.happens("hint lost")) network.counters.add("hint lost");
        else network.after(network.latency(), () => node.enter(onHint));
      };
      const stops = [coordinator.watch(prefix, hint), coordinator.onResume((host) => host === node.host && hint())];
      const stopAll = () => {
        for (const stop of stops) stop();
      };
      const stopListening = node.onDown(stopAll);
      return () => {
        stopListening();
        stopAll();
      };
    },
    async [Symbol.asyncDispose]() {},
  };
}
