export { aCluster, aPartition } from "./fake-cluster.ts";
export { type FakeServer, type FakeServerOptions, type Faults, startFakeServer } from "./fake-server.ts";
export { aTask, failure } from "./fake-tasks.ts";
