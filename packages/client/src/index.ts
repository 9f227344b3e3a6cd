export type { SluiceClient, SubmitOptions } from "./client.ts";
export type {
  Account,
  AccountSettings,
  Cluster,
  ClusterAgent,
  ClusterClient,
  ClusterEvent,
  ClusterMember,
  ClusterPartition,
  ClusterQueue,
  ClusterRoute,
  PartitionChange,
  RouteChange,
} from "./cluster.ts";
export { type ConnectOptions, connect } from "./connect.ts";
export type { CallOptions } from "./connection.ts";
export {
  AlreadyExists,
  Cancelled,
  DuplicateTask,
  Exhausted,
  FailedPrecondition,
  Forbidden,
  Internal,
  InvalidArgument,
  LocallyThrottled,
  NotFound,
  OutcomeUnknown,
  Rejected,
  SluiceError,
  type SluiceErrorCode,
  TimedOut,
  TlsFailed,
  Unauthenticated,
  Unavailable,
  WaitTimedOut,
} from "./errors.ts";
export type { Deployment, FunctionChange, FunctionDefinition, FunctionFilter, FunctionsClient } from "./functions.ts";
export type { Health } from "./health.ts";
export type {
  Operation,
  OperationsClient,
  Pause,
  PauseTarget,
  Resumed,
  StartOptions,
  WatchOperationOptions,
} from "./operations.ts";
export type { SubmitManyOptions, SubmitResult } from "./submit-many.ts";
export type { LogOptions, PageOptions, WaitOptions } from "./tasks.ts";
export type { TlsOptions } from "./tls.ts";
export * from "./types.ts";
