import type { ClusterBackend } from "./backends.ts";
import type { Cluster } from "./cluster.ts";
import type { ClusterService } from "./services/service.ts";

/** `agent-0       127.0.0.1:20121        pid 4711    /tmp/…/agent-0.log` */
export function lineOf(part: ClusterService | ClusterBackend): string {
  const address = part.address ?? ("httpAddress" in part ? `${part.httpAddress} (http)` : "-");
  return `${part.name.padEnd(13)} ${address.padEnd(24)} pid ${String(part.pid ?? "-").padEnd(8)} ${part.logFile}`;
}

/** What to do next. `dataDir` is the folder as it is to be typed. */
export function readyText(cluster: Pick<Cluster, "apiAddresses" | "dataDir">, dataDir: string): string {
  return [
    "",
    `Sluice is ready. gRPC: ${cluster.apiAddresses.join(", ")}. Ctrl-C stops it.`,
    `${cluster.dataDir}/cluster.json lists every process; client.json has the access key, which the command line finds:`,
    "",
    `  export SLUICE_DATA_DIR=${dataDir}`,
    "  npm run sluice -- deploy examples/hello && npm run sluice -- invoke hello -e world",
  ].join("\n");
}
