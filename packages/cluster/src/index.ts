export type { ClusterBackend } from "./backends.ts";
export { type Cluster, type ClusterOptions, startCluster } from "./cluster.ts";
export type { ServiceKind } from "./services/kinds.ts";
export type { ClusterService } from "./services/service.ts";
