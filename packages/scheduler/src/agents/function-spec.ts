import type { FunctionSpec } from "@sluice/protocol";
import type { FunctionRecord } from "@sluice/store";

/** A function as agents are told. */
export function functionSpec(record: FunctionRecord): FunctionSpec {
  const { settings } = record;
  return {
    revision: record.revision,
    accountId: record.accountId,
    name: record.functionName,
    runtime: settings.runtime,
    handler: settings.handler,
    codeSha256: record.codeSha256,
    timeoutMs: settings.timeoutMs,
    memoryMb: settings.memoryMb,
    instanceConcurrency: settings.instanceConcurrency,
    instancesMax: settings.instancesMax,
    environment: { ...settings.environment },
    initializer: settings.initializer?.handler ?? "",
    initializerTimeoutMs: settings.initializer?.timeoutMs ?? 0,
    preStop: settings.preStop?.handler ?? "",
    preStopTimeoutMs: settings.preStop?.timeoutMs ?? 0,
    idleTimeoutMs: settings.idleTimeoutMs,
    latencySensitive: settings.latencySensitive,
  };
}
