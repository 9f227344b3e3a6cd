// Private etcd, nats-server and PostgreSQL for development, tests and benchmarks: started on free ports in temporary
// folders, and gone with the process that started them, however it ends.
export type { Backend } from "./backend.ts";
export { type BackendOptions, type EtcdOptions, startEtcd, startEtcdCluster } from "./etcd.ts";
export { type Folder, openFolder } from "./folder.ts";
export { httpGet } from "./http.ts";
export { type NatsOptions, startNats } from "./nats.ts";
export { type PortReservation, reservePorts } from "./ports.ts";
export { type PostgresBackend, type PostgresOptions, startPostgres } from "./postgres/postgres.ts";
export {
  type Exit,
  type GuardedProcess,
  type ProcessOptions,
  startProcess,
  type User,
} from "./process/guarded-process.ts";
export { type UntilOptions, until } from "./time.ts";
