import type { Server } from "@grpc/grpc-js";
import { loadFileDescriptorSetFromBuffer } from "@grpc/proto-loader";
import { ReflectionService } from "@grpc/reflection";
import {
  AgentGatewayServiceService,
  addApi,
  ClusterServiceService,
  FunctionServiceService,
  messageBytesMax,
  OperationServiceService,
  TaskServiceService,
} from "@sluice/protocol";
import { readDescriptors } from "@sluice/protocol/descriptors";
import { HealthImplementation } from "grpc-health-check";
import type { ApiServer } from "./api-server.ts";
import { guardGateway } from "./gateway/guard-gateway.ts";

export interface ServeOptions {
  /** Whether callers may ask for the public services' descriptions. */
  readonly reflection: boolean;
  /** What the server asks of its callers' certificates; unless `none`, agents must show one. Default `none`. */
  readonly clientAuth?: "none" | "request" | "require";
}

const publicServices = ["Task", "Function", "Cluster", "Operation"].map((name) => `sluice.v1.${name}Service`);
/** A zip of 50 MiB and its settings. */
const codeMessageBytesMax = 51 * 1024 * 1024;

/** Adds an api-server's services, health and reflection to a gRPC server, which the caller binds and shuts down. */
export function serveApi(
  server: Server,
  apiServer: ApiServer,
  { reflection, clientAuth = "none" }: ServeOptions,
): void {
  addApi(server, TaskServiceService, apiServer.tasks, {
    messageBytesMax: { submitTask: messageBytesMax, submitTasks: messageBytesMax, submitStream: messageBytesMax },
  });
  addApi(server, FunctionServiceService, apiServer.functions, {
    messageBytesMax: { createFunction: codeMessageBytesMax, updateFunction: codeMessageBytesMax },
  });
  addApi(server, ClusterServiceService, apiServer.cluster);
  addApi(server, OperationServiceService, apiServer.operations);
  const { gateway } = apiServer;
  addApi(server, AgentGatewayServiceService, clientAuth === "none" ? gateway : guardGateway(gateway));

  const health = new HealthImplementation();
  apiServer.watchReadiness((isReady) => {
    for (const service of ["", ...publicServices]) health.setStatus(service, isReady ? "SERVING" : "NOT_SERVING");
  });
  health.addToServer(server);

  if (reflection) {
    const descriptors = loadFileDescriptorSetFromBuffer(readDescriptors(), { keepCase: true });
    new ReflectionService(descriptors, { services: publicServices }).addToServer(server);
  }
}
