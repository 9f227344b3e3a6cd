export type { BackendAddresses, ClusterBackend } from "./backends.ts";
export { type Cluster, type ClusterOptions, type ServiceOverrides, startCluster } from "./cluster.ts";
export type { Seat, ServiceKind } from "./services/kinds.ts";
export type { ClusterService } from "./services/service.ts";
