import { connect, type SluiceClient } from "@sluice/client";
import type { Cluster } from "@sluice/cluster";
import type { Arena, Capability, Link, PacketFault, PartitionName } from "../contract.ts";
import type { Disks } from "./host/disks.ts";
import type { Network } from "./host/network.ts";
import type { Links } from "./links.ts";
import type { Observer } from "./observer.ts";
import { backendPart, type MendablePart, servicePart } from "./parts.ts";

export interface ArenaParts {
  readonly cluster: Cluster;
  readonly capabilities: ReadonlySet<Capability>;
  readonly network: Network;
  readonly disks: Disks;
  readonly links: Links;
  readonly observer: Observer;
  /** host:port of the proxies of clients. */
  readonly clientAddresses: readonly string[];
  /** Tells a service for how long its event loop shall be blocked. */
  blockFileOf(service: string): string;
  /** Ends all of it. */
  end(): Promise<void>;
}

export class LocalArena implements Arena {
  readonly #of: ArenaParts;
  #connections = 0;

  constructor(parts: ArenaParts) {
    this.#of = parts;
  }

  get cluster(): Cluster {
    return this.#of.cluster;
  }

  get capabilities(): ReadonlySet<Capability> {
    return this.#of.capabilities;
  }

  part(name: string): MendablePart {
    const { cluster, blockFileOf } = this.#of;
    const backend = cluster.backends.find((each) => each.name === name);
    return backend ? backendPart(backend) : servicePart(cluster.service(name), blockFileOf(name));
  }

  link(from: string, to: string): Link {
    return this.#of.links.link(from, to);
  }

  packets(name: string): PacketFault {
    return this.#of.network.packets(name);
  }

  fillDisk(name: string): Promise<void> {
    return this.#of.disks.fill(name);
  }

  freeDisk(name: string): Promise<void> {
    return this.#of.disks.free(name);
  }

  leader(): Promise<string | undefined> {
    return this.#of.observer.leader();
  }

  partitions(): Promise<ReadonlyMap<string, readonly PartitionName[]>> {
    return this.#of.observer.partitions();
  }

  leases(): Promise<ReadonlyMap<string, string>> {
    return this.#of.observer.leases();
  }

  /** Each client begins with another api-server, and goes on to the others when that one is away. */
  connect(options: Parameters<Arena["connect"]>[0] = {}): SluiceClient {
    const { cluster, clientAddresses } = this.#of;
    const first = this.#connections % clientAddresses.length;
    this.#connections += 1;
    const addresses = [...clientAddresses.slice(first), ...clientAddresses.slice(0, first)];
    return connect({ ...cluster.profile, ...options, address: `ipv4:${addresses.join(",")}` });
  }

  async heal(): Promise<void> {
    const { network, disks, links, cluster } = this.#of;
    network.heal();
    links.heal();
    await disks.heal();
    // Together: one of three may not be ready without the others.
    await Promise.all(cluster.backends.map(({ name }) => this.part(name).mend()));
    await Promise.all(cluster.services.map(({ name }) => this.part(name).mend()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#of.end();
  }
}
