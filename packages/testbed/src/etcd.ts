import { join } from "node:path";
import { type Backend, LocalBackend } from "./backend.ts";
import { type Binary, findBinary } from "./find/find-binary.ts";
import { type Folder, openFolder } from "./folder.ts";
import { httpGet } from "./http.ts";
import { host, type PortReservation, withPorts } from "./ports.ts";

export interface BackendOptions {
  /** Folder of data and log; default: a temporary one, deleted at the end. */
  readonly dataDir?: string;
  /** Called whenever it has been started and answers. */
  readonly onStarted?: (backend: Backend) => void;
}

export interface EtcdOptions extends BackendOptions {
  /** Of the cluster; three survive the loss of one, but cannot be started anew on an old folder. Default 1. */
  readonly members?: 1 | 3;
}

/** One etcd that is a cluster by itself. */
export async function startEtcd(options: BackendOptions = {}): Promise<Backend> {
  const [member] = await startEtcdCluster({ ...options, members: 1 });
  if (!member) throw new Error("a cluster has members");
  return member;
}

/**
 * A cluster of `etcd`, or of `etcd-0`, `etcd-1` and `etcd-2`. With `dataDir`, the one has that folder, and each of three its
 * folder there, named as it is.
 */
export async function startEtcdCluster({
  members = 1,
  dataDir,
  onStarted,
}: EtcdOptions = {}): Promise<readonly Backend[]> {
  const binary = await findBinary({
    name: "etcd",
    variable: "SLUICE_TEST_ETCD",
    folders: ["/usr/local/bin", "/usr/bin"],
    debianPackage: "etcd-server",
    hint: "`brew install etcd` on macOS",
  });
  const names = members === 1 ? ["etcd"] : Array.from({ length: members }, (_, index) => `etcd-${index}`);
  const folders = names.map((name) =>
    openFolder({ name, path: dataDir === undefined || members === 1 ? dataDir : join(dataDir, name) }),
  );
  const start = async (reservation: PortReservation) => {
    const seats = names.map((name, index): Seat => {
      const [port = 0, peerPort = 0] = reservation.ports.slice(index * portsEach);
      return { name, port, peerPort };
    });
    const backends = seats.map((seat, index) => {
      const folder = folders[index];
      if (!folder) throw new Error("each member has a folder");
      return openMember({ binary, seat, seats, folder, reservation, onStarted });
    });
    try {
      // Together: alone, one of three finds nobody to elect a leader with.
      await Promise.all(backends.map((backend) => backend.start()));
      return backends;
    } catch (error) {
      await Promise.all(backends.map((backend) => backend.stop("SIGKILL")));
      throw error;
    }
  };
  try {
    return await withPorts(names.length * portsEach, start);
  } catch (error) {
    for (const folder of folders) folder.delete();
    throw error;
  }
}

const portsEach = 2;

interface Seat {
  readonly name: string;
  readonly port: number;
  readonly peerPort: number;
}

interface MemberOptions {
  readonly binary: Binary;
  readonly seat: Seat;
  readonly seats: readonly Seat[];
  readonly folder: Folder;
  readonly reservation: PortReservation;
  readonly onStarted: BackendOptions["onStarted"] | undefined;
}

function openMember({ binary, seat, seats, folder, reservation, onStarted }: MemberOptions): Backend {
  const { name, port } = seat;
  const dataDir = join(folder.path, "data");
  return new LocalBackend({
    name,
    version: binary.version,
    port,
    reservation,
    onStarted,
    folder,
    dataDir,
    process: {
      command: binary.path,
      args: Object.entries(flagsOf({ seat, seats, dataDir })).map(([flag, value]) => `--${flag}=${value}`),
      // Released versions refuse to start on arm64 without it.
      env: { ...binary.env, ETCD_UNSUPPORTED_ARCH: process.arch === "arm64" ? "arm64" : "" },
      logFile: join(folder.path, `${name}.log`),
    },
    isReady: async () => /"health":\s*"true"/.test((await httpGet(port, "/health")).text),
  });
}

function flagsOf({ seat, seats, dataDir }: { seat: Seat; seats: readonly Seat[]; dataDir: string }) {
  const client = `http://${host}:${seat.port}`;
  const peerOf = ({ peerPort }: Seat) => `http://${host}:${peerPort}`;
  // Alone, half of the defaults: it starts half a second sooner, and accepts leases of a second. Three hear of each other
  // late on a busy machine.
  const isAlone = seats.length === 1;
  return {
    name: seat.name,
    "data-dir": dataDir,
    "listen-client-urls": client,
    "advertise-client-urls": client,
    "listen-peer-urls": peerOf(seat),
    "initial-advertise-peer-urls": peerOf(seat),
    "initial-cluster": seats.map((each) => `${each.name}=${peerOf(each)}`).join(","),
    "heartbeat-interval": isAlone ? "50" : "100",
    "election-timeout": isAlone ? "500" : "1000",
    // The default keeps the last 100,000 entries in memory.
    "snapshot-count": "10000",
    // Each renewal of a member and each claim is a revision; nobody reads old ones for longer than a watch is away.
    "auto-compaction-mode": "periodic",
    "auto-compaction-retention": "10m",
    logger: "zap",
    "log-level": "warn",
  };
}
