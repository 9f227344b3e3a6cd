import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Backend, type BackendPlan, LocalBackend } from "../backend.ts";
import type { BackendOptions } from "../etcd.ts";
import { findBinary } from "../find/find-binary.ts";
import { openFolder } from "../folder.ts";
import { host, type PortReservation, withPorts } from "../ports.ts";
import { initFolder } from "./init-folder.ts";
import { refuseUnreachable, unprivilegedUser } from "./unprivileged-user.ts";
import { simpleQuery } from "./wire.ts";

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

/** One PostgreSQL with one database; it lets everybody on this machine in. */
export async function startPostgres({
  dataDir,
  onStarted,
  fsync = true,
}: PostgresOptions = {}): Promise<PostgresBackend> {
  const binary = await findBinary({
    name: "postgres",
    variable: "SLUICE_TEST_POSTGRES",
    folders: ["/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin"],
    debianPackage: /^postgresql-\d+$/,
    hint: "`brew install postgresql` on macOS",
  });
  const user = unprivilegedUser();
  const folder = openFolder({ name: "postgres", path: dataDir, owner: user });
  const data = join(folder.path, "data");
  const start = async (reservation: PortReservation) => {
    const [port = 0] = reservation.ports;
    const postgres = new LocalPostgres({
      name: "postgres",
      version: binary.version,
      port,
      reservation,
      onStarted,
      folder,
      dataDir: data,
      process: {
        command: binary.path,
        args: ["-D", data, ...settingsOf({ port, fsync }).flatMap((setting) => ["-c", setting])],
        env: { ...binary.env, LC_ALL: "C", TZ: "GMT" },
        logFile: join(folder.path, "postgres.log"),
        user,
        // Disconnects its clients; on SIGTERM it would wait for them.
        stopSignal: "SIGINT",
        guardSignal: "SIGQUIT",
      },
      discardSignal: "SIGQUIT",
      async prepare() {
        if (!existsSync(data)) await initFolder({ binary, dataDir: data, user, superuser });
      },
      async isReady() {
        await simpleQuery({ host, port, user: superuser, database: "postgres" });
        return true;
      },
    });
    await postgres.start();
    return postgres;
  };
  try {
    if (user) for (const path of [binary.path, data]) refuseUnreachable(path, user);
    return await withPorts(1, start);
  } catch (error) {
    folder.delete();
    throw error;
  }
}

const superuser = "sluice";

class LocalPostgres extends LocalBackend implements PostgresBackend {
  readonly url: string;
  readonly #port: number;

  constructor(plan: BackendPlan) {
    super(plan);
    this.#port = plan.port;
    this.url = this.#urlOf("postgres");
  }

  async createDatabase(name: string): Promise<string> {
    const quoted = `"${name.replaceAll('"', '""')}"`;
    // The template that nobody can have changed.
    const sql = `create database ${quoted} template template0`;
    await simpleQuery({ host, port: this.#port, user: superuser, database: "postgres" }, sql);
    return this.#urlOf(encodeURIComponent(name));
  }

  #urlOf(database: string): string {
    return `postgres://${superuser}@${host}:${this.#port}/${database}`;
  }
}

function settingsOf({ port, fsync }: { port: number; fsync: boolean }): string[] {
  const settings = {
    port,
    listen_addresses: host,
    // Its usual folder belongs to the server of the system.
    unix_socket_directories: "",
    max_connections: 200,
    shared_buffers: "256MB",
    // In files of its own folder, which go with it, and not in /dev/shm.
    dynamic_shared_memory_type: "mmap",
    max_wal_size: "4GB",
    checkpoint_timeout: "15min",
    fsync: fsync ? "on" : "off",
    full_page_writes: fsync ? "on" : "off",
    synchronous_commit: fsync ? "on" : "off",
    // Our statements are short, and its library is large and may be missing.
    jit: "off",
    // The one zone that needs no database of zones.
    timezone: "GMT",
    log_timezone: "GMT",
    logging_collector: "off",
    log_checkpoints: "off",
  };
  return Object.entries(settings).map(([name, value]) => `${name}=${value}`);
}
