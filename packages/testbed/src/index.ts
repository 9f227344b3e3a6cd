// Private etcd, nats-server and PostgreSQL for development, tests and benchmarks: started on free ports in temporary
// folders, and gone with the process that started them, however it ends.

export interface BackendOptions {
  /** Folder of data and log; default: a temporary one, deleted at the end. */
  readonly dataDir?: string;
}

/** One backend that runs, as processes of this machine. */
export interface Backend extends AsyncDisposable {
  /** `etcd`, `nats-0`, `postgres`. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** host:port. */
  readonly address: string;
  /** Undefined while it does not run. */
  readonly pid: number | undefined;
  readonly logFile: string;
  readonly version: string;
  /** Sends a signal; does not wait. `SIGSTOP` and `SIGCONT` reach every process of it. */
  kill(signal: NodeJS.Signals): void;
  /** Stops it in order (or with the signal), and resolves when it is gone. Its data and port stay its own. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again on its data and port; resolves when it answers. */
  start(): Promise<void>;
  /** Deletes its data; only while it is stopped. */
  wipe(): Promise<void>;
}

export interface PostgresBackend extends Backend {
  /** `postgres://user@host:port/database`, for a user that may create tables and databases. */
  readonly url: string;
  /** Creates an empty database; returns its url. */
  createDatabase(name: string): Promise<string>;
}

export interface PostgresOptions extends BackendOptions {
  /** Default true: what is committed survives a power failure. */
  readonly fsync?: boolean;
}

export declare function startEtcd(options?: BackendOptions): Promise<Backend>;
/** One server, or a cluster of three. */
export declare function startNats(options?: BackendOptions & { readonly servers?: 1 | 3 }): Promise<readonly Backend[]>;
export declare function startPostgres(options?: PostgresOptions): Promise<PostgresBackend>;
