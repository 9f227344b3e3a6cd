import { seededRandom } from "@sluice/core/testing";
import { silentLogger, systemClock } from "@sluice/runtime";
import { Registry } from "prom-client";
import { type Etcd, type EtcdOptions, openEtcd } from "../etcd.ts";

export interface TestEtcd extends Etcd {
  /** Value of a metric, summed over the labels that are not given; `sluice_etcd_` is put before. */
  measured(metric: string, labels?: Readonly<Record<string, string>>): Promise<number>;
}

export type TestEtcdOptions = Partial<EtcdOptions> & { readonly seed?: number };

/** A client with its own metrics, and a deadline that a busy machine meets. */
export function openTestEtcd(hosts: readonly string[], { seed = 1, ...options }: TestEtcdOptions = {}): TestEtcd {
  const registry = new Registry();
  const etcd = openEtcd({
    hosts,
    callDeadlineMs: 2_000,
    clock: systemClock,
    random: seededRandom(seed),
    log: silentLogger,
    registry,
    ...options,
  });
  return {
    ...etcd,
    async measured(metric, labels = {}) {
      const { values = [] } = (await registry.getSingleMetric(`sluice_etcd_${metric}`)?.get()) ?? {};
      const chosen = values.filter((value) =>
        Object.entries(labels).every(
          ([label, expected]) => (value.labels as Record<string, unknown>)[label] === expected,
        ),
      );
      return chosen.reduce((sum, { value }) => sum + value, 0);
    },
  };
}

let namespaces = 0;

/** Keeps the keys of one test apart from those of others. */
export const newNamespace = (): string => `/test-${++namespaces}`;
