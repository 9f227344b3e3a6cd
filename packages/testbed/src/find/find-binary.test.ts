import { afterEach, expect, test, vi } from "vitest";
import { type BinarySpec, findBinary } from "./find-binary.ts";

const spec: BinarySpec = {
  name: "etcd",
  variable: "SLUICE_TEST_ETCD",
  folders: [],
  debianPackage: "sluice-no-such-package",
  hint: "`brew install etcd` on macOS",
};

afterEach(() => vi.unstubAllEnvs());

test("a program that is nowhere is an error that says how to install it", async () => {
  vi.stubEnv("PATH", "/nonexistent");
  const said = /apt-get install sluice-no-such-package.*brew install etcd.*SLUICE_TEST_ETCD/;
  await expect(findBinary(spec)).rejects.toMatchObject({
    reason: "BACKEND_MISSING",
    message: expect.stringMatching(said),
  });
});

test("the variable overrides everything, and must name a program", async () => {
  vi.stubEnv("SLUICE_TEST_ETCD", process.execPath);
  expect(await findBinary({ ...spec, name: "nats-server" })).toEqual({
    path: process.execPath,
    version: process.version.slice(1),
    env: {},
  });
  vi.stubEnv("SLUICE_TEST_ETCD", "/nonexistent");
  await expect(findBinary({ ...spec, name: "postgres" })).rejects.toThrow(
    "SLUICE_TEST_ETCD=/nonexistent is no program",
  );
});
