// The external systems as one node sees them, each behind its own faults.
import type { Coordinator } from "@sluice/coordination";
import type { Signals, TaskQueue } from "@sluice/queue";
import type { Network } from "../net/network.ts";
import type { SimNode } from "../net/node.ts";
import { nodeCoordinator } from "./coordinator.ts";
import { Port, type SystemName } from "./port.ts";
import { nodeQueue } from "./queue.ts";
import { nodeSignals } from "./signals.ts";
import { nodeStore, type StoreServer } from "./store.ts";

export interface Systems {
  readonly server: StoreServer;
  readonly coordinator: Coordinator;
  readonly queue: TaskQueue;
  readonly signals: Signals;
  readonly network: Network;
  /** Failures that are bugs. */
  readonly onBug: (cause: unknown) => void;
}

export function nodePorts(systems: Systems, node: SimNode) {
  const { server, coordinator, queue, signals, network, onBug } = systems;
  const port = (host: SystemName, reason: string) => new Port({ network, node, host, reason, onBug });
  return {
    store: nodeStore({ server, port: port("store", "STORE_UNAVAILABLE") }),
    coordinator: nodeCoordinator({
      coordinator,
      port: port("coordinator", "COORDINATOR_UNAVAILABLE"),
    }),
    queue: nodeQueue({
      queue,
      port: port("queue", "QUEUE_UNAVAILABLE"),
    }),
    signals: nodeSignals({ signals, network, node }),
  };
}
