// A whole cluster on this machine: backends first, then all services at once, which find each other.
//
//   starting ──every /readyz is 200──▶ ready ──stop──▶ agents, schedulers, api-servers, backends end in this order
//      └── a failure, or the signal ──▶ all that runs is ended, and the failure thrown
import { join } from "node:path";
import { AppError } from "@sluice/core";
import { systemClock, systemRandom } from "@sluice/runtime";
import { type Backend, reservePorts } from "@sluice/testbed";
import { type BackendAddresses, type Backends, type ClusterBackend, startBackends } from "./backends.ts";
import { type DataDir, openDataDir } from "./data-dir.ts";
import { keepRunning, type Part } from "./keep-running.ts";
import { type Environment, plainEnvironment } from "./services/environment.ts";
import { kinds, mainOf, root, type Seat, type ServiceKind } from "./services/kinds.ts";
import { type ClusterService, LocalService } from "./services/service.ts";

export interface ClusterOptions {
  /** Default 2. */
  readonly apiServers?: number;
  /** Default 3. */
  readonly schedulers?: number;
  /** Default 3. */
  readonly agents?: number;
  /** Members of etcd; three survive the loss of one, but cannot be started anew on an old folder. Default 1. */
  readonly etcd?: 1 | 3;
  /** nats-servers; three are a cluster, and keep three copies. Default 1. */
  readonly nats?: 1 | 3;
  /** Whether PostgreSQL waits for the disk; default true. */
  readonly fsync?: boolean;
  /** Kept, and may be started again with its data; default: a temporary folder, deleted at the end. */
  readonly dataDir?: string;
  /** Starts again what is killed, after 0.1-0.3 s, later when it keeps dying. Default false. */
  readonly restart?: boolean;
  /** More environment for the services of a kind, such as `{ scheduler: { SLUICE_SCHEDULER_LEASE_PROFILE: "fast" } }`. */
  readonly environment?: Readonly<Partial<Record<ServiceKind, Environment>>>;
  /** Flags of the interpreter for every service, such as `--cpu-prof`. */
  readonly nodeFlags?: readonly string[];
  /** How single services differ from the others; asked before each start of each of them. */
  readonly overrides?: (
    seat: Seat & { readonly kind: ServiceKind },
    addresses: BackendAddresses,
  ) => ServiceOverrides | Promise<ServiceOverrides>;
  /** Called with the folder of data before anything is put into it. */
  readonly onDataDir?: (path: string) => void | Promise<void>;
  /** Ends a start that is under way. */
  readonly signal?: AbortSignal;
  /** Called for each part as soon as its process runs, again after each restart. */
  readonly onStarted?: (part: ClusterService | ClusterBackend) => void;
  /** Called when a part that is gone is about to be started again, and when that has failed. */
  readonly onRestart?: (part: Part, failure?: unknown) => void;
}

/** What is different about one service. */
export interface ServiceOverrides {
  /** Replaces variables of the same name. */
  readonly environment?: Environment;
  /** Replaces flags of the same name, such as `{ "advertise-address": "127.0.0.1:4000" }`. */
  readonly flags?: Readonly<Record<string, string>>;
  /** Address that it listens on and is reached at; default 127.0.0.1. */
  readonly host?: string;
  /** Flags of its interpreter, besides those of every service. */
  readonly nodeFlags?: readonly string[];
  /** Another checkout with its dependencies installed, to run it from; default: this one. */
  readonly root?: string;
  /** Words in front of its command, such as `["ip", "netns", "exec", "a"]`; they must replace themselves by it. */
  readonly wrapper?: readonly string[];
}

export interface Cluster extends AsyncDisposable {
  readonly services: readonly ClusterService[];
  /** `etcd` (or `etcd-0` to `etcd-2`), `nats-0` (to `nats-2`), `postgres`. */
  readonly backends: readonly ClusterBackend[];
  /** host:port of the gRPC API of each api-server. */
  readonly apiAddresses: readonly string[];
  /** For `connect` of the client library; the address is that of the first api-server. */
  readonly profile: { readonly address: string; readonly accessKeyId: string; readonly accessKeySecret: string };
  readonly dataDir: string;
  /** Throws `NO_SUCH_SERVICE`. */
  service(name: string): ClusterService;
  /** Starts one more; does not wait until it is ready. */
  addService(kind: ServiceKind, overrides?: { readonly environment?: Environment }): Promise<ClusterService>;
  /** Stops services and backends in order; the folder of data stays until the end. */
  stop(): Promise<void>;
  /** Ends everything, without ceremony when its data is temporary, and deletes that. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Resolves when every service is ready. */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const { apiServers = 2, schedulers = 3, agents = 3, signal } = options;
  const dataDir = await openDataDir(options.dataDir, systemRandom);
  let cluster: LocalCluster | undefined;
  try {
    await options.onDataDir?.(dataDir.path);
    const backends = await startBackends({
      dataDir: dataDir.path,
      etcd: options.etcd ?? 1,
      nats: options.nats ?? 1,
      fsync: options.fsync ?? true,
      onStarted: (backend) => cluster?.onBackendStarted(backend),
    });
    cluster = new LocalCluster(options, dataDir, backends);
    for (const backend of backends.all) options.onStarted?.(backend);
    const wanted: readonly (readonly [ServiceKind, number])[] = [
      ["api-server", apiServers],
      ["scheduler", schedulers],
      ["agent", agents],
    ];
    for (const [kind, count] of wanted) {
      for (let n = 0; n < count && !signal?.aborted; n += 1) await cluster.addService(kind);
    }
    await Promise.race([Promise.all(cluster.services.map((service) => service.ready())), rejection(signal)]);
    return cluster;
  } catch (error) {
    if (cluster) await cluster[Symbol.asyncDispose]();
    else dataDir[Symbol.dispose]();
    throw error;
  }
}

class LocalCluster implements Cluster {
  readonly backends: readonly ClusterBackend[];
  readonly #options: ClusterOptions;
  readonly #dataDir: DataDir;
  readonly #addresses: Backends;
  readonly #services: LocalService[] = [];
  readonly #stopped = new AbortController();
  readonly #keepers: Promise<void>[] = [];

  constructor(options: ClusterOptions, dataDir: DataDir, backends: Backends) {
    this.#options = options;
    this.#dataDir = dataDir;
    this.#addresses = backends;
    this.backends = backends.all;
    for (const backend of this.backends) this.#keep(backend);
  }

  get services(): readonly ClusterService[] {
    return this.#services;
  }

  get apiAddresses(): readonly string[] {
    return this.#services.flatMap(({ kind, address }) => (kind === "api-server" && address ? [address] : []));
  }

  get profile() {
    const { accessKeyId, accessKeySecret } = this.#dataDir.secrets;
    return { address: this.apiAddresses[0] ?? "", accessKeyId, accessKeySecret };
  }

  get dataDir(): string {
    return this.#dataDir.path;
  }

  service(name: string): ClusterService {
    const found = this.#services.find((service) => service.name === name);
    if (!found) throw new AppError("not_found", "NO_SUCH_SERVICE", `the cluster has no service ${name}`);
    return found;
  }

  async addService(
    kind: ServiceKind,
    { environment = {} }: { environment?: Environment } = {},
  ): Promise<ClusterService> {
    const name = `${kind}-${this.#services.filter((service) => service.kind === kind).length}`;
    const reservation = await reservePorts(2);
    const [port = 0, httpPort = 0] = reservation.ports;
    const { path } = this.#dataDir;
    const seat = { name, port, httpPort, dataDir: join(path, "agents", name) };
    const { hasGrpc, flags, hostFlags, environment: ofKind } = kinds[kind];
    const service = new LocalService({
      name,
      kind,
      port: hasGrpc ? port : undefined,
      httpPort,
      logFile: join(path, "logs", `${name}.log`),
      reservation,
      command: async () => {
        const life = { apiAddresses: this.apiAddresses, life: systemRandom.hex(3) };
        const own = (await this.#options.overrides?.({ ...seat, kind }, this.#addresses)) ?? {};
        const ofHost = own.host === undefined ? {} : hostFlags(own.host);
        const given = Object.entries({ ...flags(seat, life), ...ofHost, ...own.flags }).flatMap(([flag, value]) => [
          `--${flag}`,
          value,
        ]);
        const nodeFlags = [...(this.#options.nodeFlags ?? []), ...(own.nodeFlags ?? [])];
        const [command = process.execPath, ...words] = [...(own.wrapper ?? []), process.execPath];
        return {
          ...(own.host !== undefined && { host: own.host }),
          command,
          args: [...words, ...nodeFlags, "--import", "tsx", mainOf(kind, own.root), ...given],
          env: {
            ...plainEnvironment(),
            ...ofKind({ ...this.#addresses, ...this.#dataDir.secrets }),
            ...this.#options.environment?.[kind],
            ...environment,
            ...own.environment,
          },
          cwd: own.root ?? root,
        };
      },
      onStarted: () => {
        this.#writeFiles();
        this.#options.onStarted?.(service);
      },
    });
    this.#services.push(service);
    this.#keep(service);
    await service.start();
    return service;
  }

  async stop(): Promise<void> {
    await this.#end({ inOrder: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end({ inOrder: !this.#dataDir.isTemporary });
    for (const service of this.#services) service[Symbol.dispose]();
    for (const backend of this.backends) await backend[Symbol.asyncDispose]();
    this.#dataDir[Symbol.dispose]();
  }

  /** Agents first: they hand back what they run, and somebody must still settle it. */
  async #end({ inOrder }: { readonly inOrder: boolean }): Promise<void> {
    this.#stopped.abort();
    await Promise.all(this.#keepers);
    const stopAll = (kind: ServiceKind) => {
      const services = this.#services.filter((service) => service.kind === kind);
      return Promise.all(services.map((service) => service.stop(inOrder ? undefined : "SIGKILL")));
    };
    const stopBackend = (backend: ClusterBackend) => {
      // The one that would otherwise leave shared memory behind.
      const atOnce = backend.kind === "postgres" ? "SIGQUIT" : "SIGKILL";
      return backend.stop(inOrder ? undefined : atOnce);
    };
    await stopAll("agent");
    await stopAll("scheduler");
    await stopAll("api-server");
    await Promise.all(this.backends.map(stopBackend));
  }

  #keep(part: ClusterService | ClusterBackend): void {
    if (!this.#options.restart) return;
    const { onRestart } = this.#options;
    const options = {
      part,
      clock: systemClock,
      random: systemRandom.fork(part.name),
      onRestart: (each: Part, failure?: unknown) => onRestart?.(each, failure),
    };
    this.#keepers.push(keepRunning(options, this.#stopped.signal));
  }

  onBackendStarted(started: Backend): void {
    this.#writeFiles();
    const backend = this.backends.find((each) => each === started);
    if (backend) this.#options.onStarted?.(backend);
  }

  /** After each start, because processes change. */
  #writeFiles(): void {
    if (this.apiAddresses.length > 0) this.#dataDir.write("client.json", this.profile);
    this.#dataDir.write("cluster.json", {
      grpc: this.apiAddresses,
      services: this.#services.map(({ name, kind, address, httpAddress, pid, logFile }) => {
        return { name, kind, address, httpAddress, pid, logFile };
      }),
      backends: this.backends.map(({ name, kind, address, url, pid, logFile, version }) => {
        return { name, kind, address, url, pid, logFile, version };
      }),
    });
  }
}

function rejection(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal?.aborted) reject(signal.reason);
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
