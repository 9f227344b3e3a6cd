// Every way that a service goes leads through a proxy: addresses of backends by its environment, of api-servers and of itself
// by its flags.
import type { Socket } from "node:net";
import type { BackendAddresses, ClusterOptions, ServiceOverrides } from "@sluice/cluster";
import { AppError } from "@sluice/core";
import type { Link } from "../contract.ts";
import type { Target } from "./proxy/connection.ts";
import { Faults } from "./proxy/faults.ts";
import { openProxy, type TcpProxy } from "./proxy/proxy.ts";

export type Seat = Parameters<NonNullable<ClusterOptions["overrides"]>>[0];

export interface LinksOptions {
  /** Where the proxies listen. */
  readonly host: string;
  /** Whether it can be told which scheduler has opened a connection. */
  readonly knowsPairs: boolean;
  /** Where a service listens. */
  hostOf(service: string): string;
  /** Name of the scheduler that has opened a connection. */
  openerOf(client: Socket): string | undefined;
}

export class Links implements Disposable {
  readonly #options: LinksOptions;
  readonly #seats = new Map<string, Seat>();
  readonly #backends = new Set<string>();
  readonly #faults = new Map<string, Faults>();
  readonly #proxies = new Map<string, Promise<TcpProxy>>();
  /** Of connections that nobody of ours has opened. */
  readonly #none = new Faults();

  constructor(options: LinksOptions) {
    this.#options = options;
  }

  /** Throws `NO_SUCH_LINK`, and `FAULT_IMPOSSIBLE` where connections cannot be told apart. */
  link(from: string, to: string): Link {
    const ways: readonly (readonly [string, string])[] = [
      ["client", "api-server"],
      ["api-server", "backend"],
      ["scheduler", "backend"],
      ["scheduler", "agent"],
      ["agent", "api-server"],
    ];
    const [start, end] = [from === "client" ? from : this.#kindOf(from), this.#kindOf(to)];
    if (!ways.some((way) => way[0] === start && way[1] === end)) {
      throw new AppError("not_found", "NO_SUCH_LINK", `nobody goes from ${from} to ${to}`);
    }
    if (end === "agent" && !this.#options.knowsPairs) {
      throw new AppError(
        "precondition",
        "FAULT_IMPOSSIBLE",
        "this system does not tell which scheduler has opened a connection to an agent",
      );
    }
    return this.#faultsOf(from, to);
  }

  heal(): void {
    for (const faults of this.#faults.values()) faults.heal();
  }

  /** Of a service that is about to be started. */
  async overridesFor(seat: Seat, addresses: BackendAddresses): Promise<ServiceOverrides> {
    this.#seats.set(seat.name, seat);
    const { name, kind } = seat;
    for (const backend of this.#namesOf(addresses)) this.#backends.add(backend);
    if (kind === "agent") {
      const apiServers = this.#seatsOf("api-server").map((each) => this.#towards(name, each.name));
      return {
        flags: {
          "api-servers": (await Promise.all(apiServers)).map(({ address }) => address).join(","),
          "advertise-address": (await this.#before(name)).address,
        },
      };
    }
    const through = (backend: string, url: string) => this.#throughProxy(name, backend, url);
    const { etcdHosts, natsServers, postgresUrl } = addresses;
    const etcd = await Promise.all(etcdHosts.map((url, n) => through(etcdName(etcdHosts, n), url)));
    const nats = await Promise.all(natsServers.map((url, n) => through(`nats-${n}`, url)));
    return {
      environment: {
        SLUICE_ETCD_HOSTS: etcd.join(","),
        SLUICE_NATS_SERVERS: nats.join(","),
        SLUICE_POSTGRES_URL: await through("postgres", postgresUrl),
      },
    };
  }

  /** host:port of the proxies of `client` > api-server. */
  async clientAddresses(): Promise<readonly string[]> {
    const proxies = this.#seatsOf("api-server").map(({ name }) => this.#towards("client", name));
    return (await Promise.all(proxies)).map(({ address }) => address);
  }

  [Symbol.dispose](): void {
    for (const proxy of this.#proxies.values()) void proxy.then((open) => open[Symbol.dispose]());
  }

  #kindOf(name: string): string | undefined {
    return this.#backends.has(name) ? "backend" : this.#seats.get(name)?.kind;
  }

  #seatsOf(kind: Seat["kind"]): readonly Seat[] {
    return [...this.#seats.values()].filter((seat) => seat.kind === kind);
  }

  #namesOf({ etcdHosts, natsServers }: BackendAddresses): readonly string[] {
    return [...etcdHosts.map((_, n) => etcdName(etcdHosts, n)), ...natsServers.map((_, n) => `nats-${n}`), "postgres"];
  }

  #faultsOf(from: string, to: string): Faults {
    const key = `${from} > ${to}`;
    const known = this.#faults.get(key) ?? new Faults();
    this.#faults.set(key, known);
    return known;
  }

  #targetOf(service: string): Target {
    return { host: this.#options.hostOf(service), port: this.#seats.get(service)?.port ?? 0 };
  }

  /** From one service to another. */
  #towards(from: string, to: string): Promise<TcpProxy> {
    return this.#proxy(`${from} > ${to}`, {
      target: () => this.#targetOf(to),
      faultsOf: () => this.#faultsOf(from, to),
    });
  }

  /** In front of an agent, for all schedulers. */
  #before(agent: string): Promise<TcpProxy> {
    return this.#proxy(`schedulers > ${agent}`, {
      target: () => this.#targetOf(agent),
      faultsOf: (client) => {
        const opener = this.#options.openerOf(client);
        return opener === undefined ? this.#none : this.#faultsOf(opener, agent);
      },
    });
  }

  /** The url of a backend, with the address of the proxy in the place of its own. */
  async #throughProxy(from: string, backend: string, url: string): Promise<string> {
    const { hostname: host, port } = new URL(url);
    const proxy = await this.#proxy(`${from} > ${backend}`, {
      target: () => ({ host, port: Number(port) }),
      faultsOf: () => this.#faultsOf(from, backend),
    });
    return url.replace(`${host}:${port}`, proxy.address);
  }

  #proxy(name: string, options: { target(): Target; faultsOf(client: Socket): Faults }): Promise<TcpProxy> {
    const known = this.#proxies.get(name) ?? openProxy({ host: this.#options.host, ...options });
    this.#proxies.set(name, known);
    return known;
  }
}

function etcdName(hosts: readonly string[], index: number): string {
  return hosts.length === 1 ? "etcd" : `etcd-${index}`;
}
