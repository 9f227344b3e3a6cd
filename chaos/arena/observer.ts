// What etcd says, asked directly: no fault of a link hides it.
import { backendSettings } from "@sluice/backends/settings";
import { claimsPrefix, leaderKey, membersPrefix } from "@sluice/coordination";
import { openEtcd } from "@sluice/coordination/etcd";
import { parsePartitionKey } from "@sluice/core";
import { silentLogger, systemClock, systemRandom } from "@sluice/runtime";
import { Registry } from "prom-client";
import type { Arena, PartitionName } from "../contract.ts";

/** Rejects with `COORDINATOR_UNAVAILABLE` while etcd does not answer. */
export type Observer = Pick<Arena, "leader" | "partitions" | "leases"> & AsyncDisposable;

export function openObserver(hosts: readonly string[]): Observer {
  const etcd = openEtcd({
    hosts,
    namespace: backendSettings.etcdNamespace.default,
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
    registry: new Registry(),
  });
  const { coordinator } = etcd;
  return {
    async leader() {
      const entry = await coordinator.get(leaderKey);
      return entry && serviceOf(entry.value);
    },
    async partitions() {
      const owned = new Map<string, PartitionName[]>();
      for (const { key, value } of await coordinator.list(claimsPrefix)) {
        const name = serviceOf(value);
        const partition = parsePartitionKey(key.slice(claimsPrefix.length));
        owned.set(name, [...(owned.get(name) ?? []), partition]);
      }
      return owned;
    },
    async leases() {
      const members = await coordinator.list(membersPrefix);
      return new Map(members.map(({ key, leaseId = "none" }) => [leaseId, serviceOf(key.slice(membersPrefix.length))]));
    },
    [Symbol.asyncDispose]: () => etcd[Symbol.asyncDispose](),
  };
}

/** A scheduler's id is the name of its service and a suffix, another one in each life. */
function serviceOf(schedulerId: string): string {
  return schedulerId.replace(/-[0-9a-f]{6}$/, "");
}
