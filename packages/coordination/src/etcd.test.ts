import { seededRandom } from "@sluice/core/testing";
import { silentLogger, systemClock } from "@sluice/runtime";
import { type Backend, startEtcd } from "@sluice/testbed";
import { Registry } from "prom-client";
import { afterAll, beforeAll } from "vitest";
import { describeCoordinator } from "./conformance.ts";
import { openEtcd } from "./etcd.ts";

let etcd: Backend;
let namespaces = 0;
beforeAll(async () => {
  etcd = await startEtcd();
});
afterAll(() => etcd[Symbol.asyncDispose]());

function open(namespace: string) {
  return openEtcd({
    hosts: [etcd.address],
    namespace,
    clock: systemClock,
    random: seededRandom(1),
    log: silentLogger,
    registry: new Registry(),
  });
}

describeCoordinator("etcd", async () => {
  const namespace = `/${++namespaces}`;
  const [first, second] = [open(namespace), open(namespace)];
  return {
    coordinator: first.coordinator,
    other: second.coordinator,
    ttlMs: 1_000,
    pass: (ms) => systemClock.sleep(ms),
    async [Symbol.asyncDispose]() {
      await Promise.all([first, second].map((etcd) => etcd[Symbol.asyncDispose]()));
    },
  };
});
