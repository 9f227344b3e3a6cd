import { join } from "node:path";
import { type Backend, startEtcdCluster, startNats, startPostgres } from "@sluice/testbed";

/** A backend of the cluster, with the address that the services get. */
export type ClusterBackend = Backend & {
  readonly kind: "etcd" | "nats" | "postgres";
  readonly url: string;
};

export interface BackendAddresses {
  readonly postgresUrl: string;
  readonly natsServers: readonly string[];
  readonly etcdHosts: readonly string[];
}

export interface Backends extends BackendAddresses {
  readonly all: readonly ClusterBackend[];
}

export interface BackendsOptions {
  readonly dataDir: string;
  readonly etcd: 1 | 3;
  readonly nats: 1 | 3;
  readonly fsync: boolean;
  /** Called whenever one of them has been started. */
  onStarted(backend: Backend): void;
}

/** Starts all of them together; when one fails, ends the others and throws. */
export async function startBackends({
  dataDir,
  etcd: members,
  nats,
  fsync,
  onStarted,
}: BackendsOptions): Promise<Backends> {
  const starts = await Promise.allSettled([
    startEtcdCluster({ dataDir: members === 1 ? join(dataDir, "etcd") : dataDir, members, onStarted }),
    startNats({ dataDir, servers: nats, onStarted }),
    startPostgres({ dataDir: join(dataDir, "postgres"), fsync, onStarted }),
  ]);
  const [etcd, servers, postgres] = starts;
  if (etcd.status === "rejected" || servers.status === "rejected" || postgres.status === "rejected") {
    const running = starts.flatMap((start) => (start.status === "fulfilled" ? [start.value].flat() : []));
    await Promise.all(running.map((backend) => backend[Symbol.asyncDispose]()));
    throw starts.flatMap((start) => (start.status === "rejected" ? [start.reason] : []))[0];
  }
  const etcdUrl = (member: Backend) => `http://${member.address}`;
  const natsUrl = (server: Backend) => `nats://${server.address}`;
  return {
    all: [
      ...etcd.value.map((member) => withUrl(member, "etcd", etcdUrl(member))),
      ...servers.value.map((server) => withUrl(server, "nats", natsUrl(server))),
      withUrl(postgres.value, "postgres", postgres.value.url),
    ],
    postgresUrl: postgres.value.url,
    natsServers: servers.value.map(natsUrl),
    etcdHosts: etcd.value.map(etcdUrl),
  };
}

/** The same object: its other fields change while it runs. */
function withUrl(backend: Backend, kind: ClusterBackend["kind"], url: string): ClusterBackend {
  return Object.assign(backend, { kind, url });
}
