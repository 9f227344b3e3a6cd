import { mkdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { type Backend, LocalBackend } from "./backend.ts";
import type { BackendOptions } from "./etcd.ts";
import { type Binary, findBinary } from "./find/find-binary.ts";
import { openFolder } from "./folder.ts";
import { httpGet } from "./http.ts";
import { host, type PortReservation, withPorts } from "./ports.ts";
import { until } from "./time.ts";

export interface NatsOptions extends BackendOptions {
  /** Three make a JetStream cluster; default 1. */
  readonly servers?: 1 | 3;
}

/** One server with JetStream, or a cluster of three. With `dataDir`, each has its folder `nats-<n>` there. */
export async function startNats({ dataDir, servers = 1, onStarted }: NatsOptions = {}): Promise<readonly Backend[]> {
  const binary = await findBinary({
    name: "nats-server",
    variable: "SLUICE_TEST_NATS",
    folders: ["/usr/local/bin", "/usr/sbin", "/usr/local/sbin"],
    debianPackage: "nats-server",
    hint: "`brew install nats-server` on macOS",
  });
  return withPorts(servers * portsEach, async (reservation) => {
    const seats = Array.from({ length: servers }, (_, index): Seat => {
      const [port = 0, httpPort = 0, routePort = 0] = reservation.ports.slice(index * portsEach);
      return { name: `nats-${index}`, port, httpPort, routePort };
    });
    const backends = seats.map((seat) => openServer({ binary, seat, seats, dataDir, reservation, onStarted }));
    try {
      // Together: alone, a server of a cluster finds nobody to elect a leader with.
      await Promise.all(backends.map((backend) => backend.start()));
      await until(() => areHealthy(seats), { what: "JetStream is not healthy", timeoutMs: 60_000 });
      return backends;
    } catch (error) {
      await Promise.all(backends.map((backend) => backend[Symbol.asyncDispose]()));
      throw error;
    }
  });
}

const portsEach = 3;

interface Seat {
  readonly name: string;
  readonly port: number;
  readonly httpPort: number;
  readonly routePort: number;
}

interface ServerOptions {
  readonly binary: Binary;
  readonly seat: Seat;
  readonly seats: readonly Seat[];
  readonly dataDir: string | undefined;
  readonly reservation: PortReservation;
  readonly onStarted: BackendOptions["onStarted"] | undefined;
}

function openServer({ binary, seat, seats, dataDir, reservation, onStarted }: ServerOptions): Backend {
  const { name, port } = seat;
  const folder = openFolder({ name, path: dataDir && join(dataDir, name) });
  const data = join(folder.path, "data");
  const configFile = join(folder.path, `${name}.conf`);
  return new LocalBackend({
    name,
    version: binary.version,
    port,
    reservation,
    onStarted,
    folder,
    dataDir: data,
    process: {
      command: binary.path,
      args: ["--config", configFile],
      env: binary.env,
      logFile: join(folder.path, `${name}.log`),
    },
    async prepare() {
      mkdirSync(data, { recursive: true });
      writeFileSync(configFile, configOf({ seat, seats, data }));
    },
    isReady: () => greets(port),
  });
}

function configOf({ seat, seats, data }: { seat: Seat; seats: readonly Seat[]; data: string }): string {
  const routes = seats.map(({ routePort }) => `    nats://${host}:${routePort}`).join("\n");
  const cluster = `cluster {
  name: sluice
  listen: "${host}:${seat.routePort}"
  # Clients know all of them, perhaps at other addresses, which they are to keep to.
  no_advertise: true
  routes: [
${routes}
  ]
}`;
  return `server_name: ${seat.name}
listen: "${host}:${seat.port}"
http: "${host}:${seat.httpPort}"
jetstream {
  store_dir: ${JSON.stringify(data)}
  max_memory_store: 1GB
  max_file_store: 20GB
}
${seats.length > 1 ? cluster : ""}
`;
}

/** A server that accepts a client says so at once, in its first line. */
function greets(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: 1_000 });
    socket.once("timeout", () => socket.destroy(new Error(`no answer from port ${port}`)));
    socket.once("error", reject);
    socket.once("close", () => resolve(false));
    socket.once("data", (chunk) => {
      socket.removeAllListeners("close");
      socket.destroy();
      resolve(chunk.toString("latin1").startsWith("INFO "));
    });
  });
}

async function areHealthy(seats: readonly Seat[]): Promise<boolean> {
  const answers = await Promise.all(seats.map(({ httpPort }) => httpGet(httpPort, "/healthz").catch(() => undefined)));
  return answers.every((answer) => answer?.status === 200);
}
