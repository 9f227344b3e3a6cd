// The composition of an api-server on the cluster drivers. It listens at once, whatever is away: until the store is there,
// calls fail as they do when it goes away later.
import { type Backends, openBackends } from "@sluice/backends";
import { type Loop, runAll } from "@sluice/core";
import { addApi, ExternalScalerService, serverCredentials } from "@sluice/protocol";
import {
  type GrpcServer,
  grpcServer,
  httpApiServer,
  httpServer,
  inspectZip,
  openTls,
  processName,
  type ServiceProcess,
} from "@sluice/runtime";
import { createApiServer } from "../api-server.ts";
import { createExternalScaler, type ExternalScalerDeps } from "../autoscaling/external-scaler.ts";
import { defaultApiServerConfig } from "../config.ts";
import { serveApi } from "../serve.ts";
import { createFirstKey } from "./first-key.ts";
import { serveUntilLeft } from "./leave.ts";
import { createDispatchProbe } from "./readiness.ts";
import { type ApiServerProcessConfig, parseAddress } from "./settings.ts";

export async function runApiServer(process: ServiceProcess<ApiServerProcessConfig>): Promise<void> {
  const { config, clock, random, registry, signal, announce } = process;
  const id = config.apiServerId ?? processName(random);
  const log = process.log.child({ apiServerId: id });
  const tls = openTls(config, { clock, log });
  await using backends = openBackends(config, { clock, random, log, registry, signal });
  const masterKey = Buffer.from(config.masterKey, "hex");
  const firstKey = createFirstKey({ config, store: backends.store, masterKey, clock, random, log });
  const apiServer = createApiServer({
    config: {
      ...defaultApiServerConfig,
      ...limitsOf(config),
      auth: config.auth,
      operatorAccounts: config.operatorAccounts.length > 0 ? config.operatorAccounts : [config.accessKeyAccount],
      joinTokens: config.joinTokens,
    },
    clock,
    random,
    log,
    registry,
    store: backends.store,
    queue: backends.queue,
    signals: backends.signals,
    coordinator: backends.coordinator,
    masterKey,
    inspectZip,
  });
  await using http = await httpServer({
    address: config.httpHost,
    port: config.httpPort,
    registry,
    // A submission is durable without queue and coordinator: they are told, and fail nothing.
    health: { running: () => !signal.aborted, store: () => apiServer.ready(), accessKey: () => firstKey.exists },
    details: { ...upOrDown(backends), dispatch: createDispatchProbe({ ...backends, clock }) },
  });
  await using grpc = await grpcServer(
    { host: config.grpcHost, port: config.grpcPort, credentials: serverCredentials(tls) },
    (server) => serveApi(server, apiServer, { reflection: config.reflection, clientAuth: config.tlsClientAuth }),
  );
  await using scaler = await serveScaler(config.scalerAddress, { clock, ...backends }, tls);
  const fcAt = parseAddress(config.fcAddress);
  await using fc = fcAt ? await httpApiServer({ ...fcAt, tls }, apiServer.fc) : undefined;
  const places = [grpc.address, `${http.url}/readyz`, ...(fc ? [`HTTP API on ${fc.url}`] : [])];
  announce(`api-server ${id} on ${[...places, ...(scaler ? [`scaler on ${scaler.address}`] : [])].join(", ")}`);
  const serve: Loop = (stopping) =>
    runAll(
      stopping,
      () => backends.opened,
      (stop) => apiServer.run(stop),
      (stop) => firstKey.run(stop),
      async (stop) => await tls?.run(stop),
    );
  await serveUntilLeft({ clock, leaveMs: config.leaveMs, apiServer, grpc, http: fc }, serve)(signal);
}

/** On a port of its own: who may ask for it need not reach the API. */
async function serveScaler(
  address: string | undefined,
  deps: ExternalScalerDeps,
  tls: Parameters<typeof serverCredentials>[0],
): Promise<GrpcServer | undefined> {
  const at = parseAddress(address);
  if (at === undefined) return undefined;
  return await grpcServer({ ...at, credentials: serverCredentials(tls) }, (server) =>
    addApi(server, ExternalScalerService, createExternalScaler(deps)),
  );
}

function limitsOf(config: ApiServerProcessConfig) {
  const { payloadBytesMax, waitingTasksMax, delayMsMax, expiresAfterMsMax, watchersMax, admissionBytesMax } = config;
  const { throttle, queueBacklogMax, queueFullnessMax } = config;
  const limits = { payloadBytesMax, waitingTasksMax, delayMsMax, expiresAfterMsMax, watchersMax, admissionBytesMax };
  return { ...limits, throttle, queueBacklogMax, queueFullnessMax };
}

function upOrDown({ health }: Backends) {
  return { store: () => health.store.isUp, queue: () => health.queue.isUp, coordinator: () => health.coordinator.isUp };
}
