import { progressBytesMax } from "./frames.ts";
import type { InstanceOptions } from "./instance.ts";

/** The body of the `initialize` frame: all that a runner must know before the first request. */
export function runnerSettings({ spec, limits, cgroups, startRequestId }: InstanceOptions, codeDir: string): object {
  return {
    codeDir,
    handler: spec.handler,
    initializer: spec.initializer?.handler,
    preStop: spec.preStop?.handler,
    concurrency: Math.max(1, spec.instanceConcurrency),
    startRequestId,
    resultBytesMax: limits.resultBytesMax,
    logBytesMax: limits.logBytesMax,
    progressBytesMax,
    // Node is limited by its command line. Where a cgroup limits the memory, a second limit would only confuse.
    limitMemoryMb: cgroups.canLimitMemory ? undefined : spec.memoryMb,
    context: {
      accountId: spec.accountId,
      region: "local",
      // No cloud credentials here; the fields exist because handlers read them without asking.
      credentials: {
        accessKeyId: spec.environment["ALIBABA_CLOUD_ACCESS_KEY_ID"] ?? "",
        accessKeySecret: spec.environment["ALIBABA_CLOUD_ACCESS_KEY_SECRET"] ?? "",
        securityToken: spec.environment["ALIBABA_CLOUD_SECURITY_TOKEN"] ?? "",
      },
      function: {
        name: spec.functionName,
        handler: spec.handler,
        memory: spec.memoryMb,
        timeout: Math.ceil(spec.timeoutMs / 1000),
      },
      service: { name: "", logProject: "", logStore: "", qualifier: "LATEST", versionId: String(spec.revision) },
    },
  };
}
