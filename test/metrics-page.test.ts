// Checks that `docs/metrics.md` lists every metric of every service, with its type and help, and nothing else.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { agentMetrics } from "@sluice/agent";
import { apiServerMetrics } from "@sluice/api-server";
import { etcdMetrics } from "@sluice/coordination/etcd";
import { loadBalancerMetrics } from "@sluice/load-balancer";
import { natsMetrics } from "@sluice/queue/nats";
import { schedulerMetrics } from "@sluice/scheduler";
import { postgresMetrics } from "@sluice/store/postgres";
import { Registry } from "prom-client";
import { expect, test } from "vitest";

const page = readFileSync(join(import.meta.dirname, "../docs/metrics.md"), "utf8");

test("the page of metrics says what the services measure", async () => {
  const registry = new Registry();
  for (const create of [
    apiServerMetrics,
    schedulerMetrics,
    loadBalancerMetrics,
    agentMetrics,
    etcdMetrics,
    natsMetrics,
    postgresMetrics,
  ])
    create(registry);
  const measured = (await registry.getMetricsAsJSON()).map(
    ({ name, type, help }) => `| \`${name}\` | ${type} | ${help} |`,
  );
  const described = page.split("\n").filter((line) => line.startsWith("| `sluice_"));
  expect(measured.length).toBeGreaterThan(40);
  expect(described.toSorted()).toEqual(measured.toSorted());
});
