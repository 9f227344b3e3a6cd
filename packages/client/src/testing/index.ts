export { aCluster, aPartition } from "./fake-cluster.ts";
export { doneAt } from "./fake-operations.ts";
export { type FakeServer, type FakeServerOptions, type Faults, startFakeServer } from "./fake-server.ts";
export { aTask, failure } from "./fake-tasks.ts";
