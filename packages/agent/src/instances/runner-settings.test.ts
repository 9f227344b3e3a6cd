import { expect, test } from "vitest";
import { instanceEnvironment } from "./environment.ts";
import type { InstanceOptions } from "./instance.ts";
import { defaultLimits } from "./pool.ts";
import { runnerSettings } from "./runner-settings.ts";
import { aSpec } from "./testing.ts";

test("an instance is started with nothing that may change within its revision", () => {
  const before = aSpec({ idleTimeoutMs: 1_000, instancesMax: 1, latencySensitive: false });
  const after = { ...before, idleTimeoutMs: 2_000, instancesMax: 2, latencySensitive: true };
  const startedWith = (spec: typeof before) => {
    const options = { spec, limits: defaultLimits, cgroups: { canLimitMemory: false }, startRequestId: "r" };
    const parts = { spec, instanceId: "i", codeDir: "/code", temporaryDir: "/tmp", markers: {} };
    return [runnerSettings(options as unknown as InstanceOptions, "/code"), instanceEnvironment(parts, {})];
  };
  expect(startedWith(after)).toEqual(startedWith(before));
});
