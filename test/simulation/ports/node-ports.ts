// The external systems as one node sees them, each behind its own faults.
import type { Signals } from "@sluice/queue";
import type { EtcdModel } from "../model/etcd.ts";
import type { JetStreamModel } from "../model/jetstream/queue.ts";
import type { SystemState } from "../model/system.ts";
import type { Network } from "../net/network.ts";
import type { SimNode } from "../net/node.ts";
import { nodeCoordinator } from "./coordinator.ts";
import { Port, type SystemName } from "./port.ts";
import { nodeQueue } from "./queue.ts";
import { nodeSignals } from "./signals.ts";
import { nodeStore, type StoreServer } from "./store.ts";

export interface Systems {
  readonly server: StoreServer;
  readonly coordinator: EtcdModel;
  readonly queue: JetStreamModel;
  readonly signals: Signals;
  readonly network: Network;
  /** Failures that are bugs. */
  readonly onBug: (cause: unknown) => void;
}

export function nodePorts(systems: Systems, node: SimNode) {
  const { server, coordinator, queue, signals, network, onBug } = systems;
  const port = (host: SystemName, system: SystemState, reason: string) =>
    new Port({ network, node, host, system, reason, onBug });
  return {
    store: nodeStore({ server, port: port("store", server.system, "STORE_UNAVAILABLE") }),
    coordinator: nodeCoordinator({
      coordinator,
      port: port("coordinator", coordinator.system, "COORDINATOR_UNAVAILABLE"),
    }),
    queue: nodeQueue({
      queue,
      port: port("queue", queue.system, "QUEUE_UNAVAILABLE"),
    }),
    signals: nodeSignals({ signals, network, node }),
  };
}
