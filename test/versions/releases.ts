// Which servers are tested besides those of Debian: the only place with these numbers.

/** One release, built from its Go module. */
export interface Release {
  readonly server: Server;
  readonly version: string;
}
export type Server = "nats-server" | "etcd";

export const releases: readonly Release[] = [
  { server: "nats-server", version: "2.15.2" },
  { server: "etcd", version: "3.5.35" },
  { server: "etcd", version: "3.6.16" },
  { server: "etcd", version: "3.7.3" },
];

/** What must pass on a server. */
export interface Suite {
  readonly name: string;
  /** Begins the paths of its test files. */
  readonly files: string;
  /** Names the program to `@sluice/testbed`. */
  readonly variable: string;
}

export const suites: Readonly<Record<Server, Suite>> = {
  "nats-server": { name: "queue", files: "packages/queue/src/nats", variable: "SLUICE_TEST_NATS" },
  etcd: { name: "coordination", files: "packages/coordination/src/etcd", variable: "SLUICE_TEST_ETCD" },
};
