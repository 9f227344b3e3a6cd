import { join } from "node:path";
import { type Backend, LocalBackend } from "./backend.ts";
import { findBinary } from "./find/find-binary.ts";
import { openFolder } from "./folder.ts";
import { httpGet } from "./http.ts";
import { host, type PortReservation, withPorts } from "./ports.ts";

export interface BackendOptions {
  /** Folder of data and log; default: a temporary one, deleted at the end. */
  readonly dataDir?: string;
  /** Called whenever it has been started and answers. */
  readonly onStarted?: (backend: Backend) => void;
}

/** One etcd that is a cluster by itself. */
export async function startEtcd(options: BackendOptions = {}): Promise<Backend> {
  const binary = await findBinary({
    name: "etcd",
    variable: "SLUICE_TEST_ETCD",
    folders: ["/usr/local/bin", "/usr/bin"],
    debianPackage: "etcd-server",
    hint: "`brew install etcd` on macOS",
  });
  const folder = openFolder({ name: "etcd", path: options.dataDir });
  const dataDir = join(folder.path, "data");
  const start = async (reservation: PortReservation) => {
    const [port = 0, peerPort = 0] = reservation.ports;
    const client = `http://${host}:${port}`;
    const peer = `http://${host}:${peerPort}`;
    const flags = {
      name: "etcd",
      "data-dir": dataDir,
      "listen-client-urls": client,
      "advertise-client-urls": client,
      "listen-peer-urls": peer,
      "initial-advertise-peer-urls": peer,
      "initial-cluster": `etcd=${peer}`,
      // Half of the defaults: it starts half a second sooner, and accepts leases of a second.
      "heartbeat-interval": "50",
      "election-timeout": "500",
      // The default keeps the last 100,000 entries in memory.
      "snapshot-count": "10000",
      // Each renewal of a member and each claim is a revision; nobody reads old ones for longer than a watch is away.
      "auto-compaction-mode": "periodic",
      "auto-compaction-retention": "10m",
      logger: "zap",
      "log-level": "warn",
    };
    const backend = new LocalBackend({
      name: "etcd",
      version: binary.version,
      port,
      reservation,
      onStarted: options.onStarted,
      folder,
      dataDir,
      process: {
        command: binary.path,
        args: Object.entries(flags).map(([name, value]) => `--${name}=${value}`),
        // Released versions refuse to start on arm64 without it.
        env: { ...binary.env, ETCD_UNSUPPORTED_ARCH: process.arch === "arm64" ? "arm64" : "" },
        logFile: join(folder.path, "etcd.log"),
      },
      isReady: async () => /"health":\s*"true"/.test((await httpGet(port, "/health")).text),
    });
    await backend.start();
    return backend;
  };
  try {
    return await withPorts(2, start);
  } catch (error) {
    folder.delete();
    throw error;
  }
}
