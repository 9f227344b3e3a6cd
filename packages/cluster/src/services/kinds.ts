// How each kind of service is started. Addresses are flags; what all services of a cluster share is in the environment.
import { join } from "node:path";
import type { Environment } from "./environment.ts";

export const serviceKinds = ["api-server", "scheduler", "agent"] as const;
export type ServiceKind = (typeof serviceKinds)[number];

export interface Seat {
  readonly name: string;
  /** Of the gRPC API; schedulers have none. */
  readonly port: number;
  readonly httpPort: number;
  /** Of this service alone; may not exist yet. */
  readonly dataDir: string;
}

/** What the services of a cluster share. */
export interface Shared {
  readonly postgresUrl: string;
  readonly natsServers: readonly string[];
  readonly etcdHosts: readonly string[];
  readonly joinToken: string;
  readonly masterKey: string;
  readonly accessKeyId: string;
  readonly accessKeySecret: string;
}

interface Kind {
  readonly hasGrpc: boolean;
  /** `life` is unique to each start. */
  flags(
    seat: Seat,
    o: { readonly apiAddresses: readonly string[]; readonly life: string },
  ): Readonly<Record<string, string>>;
  /** For another host than loopback. */
  hostFlags(host: string): Readonly<Record<string, string>>;
  environment(shared: Shared): Environment;
}

export const kinds: Readonly<Record<ServiceKind, Kind>> = {
  "api-server": {
    hasGrpc: true,
    flags: ({ name, port, httpPort }) => ({
      "api-server-id": name,
      "grpc-port": String(port),
      "http-port": String(httpPort),
    }),
    hostFlags: (host) => ({ "grpc-host": host, "http-host": host }),
    environment: (shared) => ({
      ...variablesOf(shared),
      SLUICE_MASTER_KEY: shared.masterKey,
      SLUICE_ACCESS_KEY_ID: shared.accessKeyId,
      SLUICE_ACCESS_KEY_SECRET: shared.accessKeySecret,
    }),
  },
  scheduler: {
    hasGrpc: false,
    flags: ({ name, httpPort }, { life }) => ({ "scheduler-id": `${name}-${life}`, "http-port": String(httpPort) }),
    hostFlags: (host) => ({ "http-host": host }),
    environment: variablesOf,
  },
  // It runs what users wrote: it gets no address of a backend.
  agent: {
    hasGrpc: true,
    flags: ({ name, port, httpPort, dataDir }, { apiAddresses }) => ({
      "agent-id": name,
      "api-servers": apiAddresses.join(","),
      port: String(port),
      "http-port": String(httpPort),
      "data-dir": dataDir,
    }),
    hostFlags: (host) => ({ host, "http-host": host }),
    environment: ({ joinToken }) => ({ SLUICE_JOIN_TOKEN: joinToken }),
  },
};

/** Of the checkout, where `tsx` is found. */
export const root = join(import.meta.dirname, "../../../..");

export function mainOf(kind: ServiceKind, checkout = root): string {
  return join(checkout, "packages", kind, "src/main.ts");
}

function variablesOf({ postgresUrl, natsServers, etcdHosts, joinToken }: Shared): Environment {
  return {
    SLUICE_POSTGRES_URL: postgresUrl,
    SLUICE_NATS_SERVERS: natsServers.join(","),
    SLUICE_NATS_REPLICAS: natsServers.length === 3 ? "3" : "1",
    SLUICE_ETCD_HOSTS: etcdHosts.join(","),
    SLUICE_JOIN_TOKEN: joinToken,
  };
}
