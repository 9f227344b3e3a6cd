// The composition of a scheduler on the cluster drivers. It joins the cluster once the store is there: before that it could
// own nothing, and would only keep others from it.
import { openBackends } from "@sluice/backends";
import { defaultLeaseProfile, fastLeaseProfile } from "@sluice/coordination";
import { runAll, sharedQueues } from "@sluice/core";
import { AgentServiceService, apiClient, channelCredentials, joinTokenHeaders } from "@sluice/protocol";
import { httpServer, openTls, processName, type ServiceProcess, workedMs } from "@sluice/runtime";
import { defaultSchedulerConfig } from "../config.ts";
import { createScheduler } from "../scheduler.ts";
import { readinessOf } from "./readiness.ts";
import { type SchedulerProcessConfig, throttleOf } from "./settings.ts";

/** Of the time for a renewal that one member of etcd may take: what is left is for asking another one. */
const callShare = 0.8;

export async function runScheduler(process: ServiceProcess<SchedulerProcessConfig>): Promise<void> {
  const { config, clock, random, registry, signal, announce } = process;
  const id = config.schedulerId ?? processName(random);
  const log = process.log.child({ schedulerId: id });
  const tls = openTls(config, { clock, log });
  const lease = config.leaseProfile === "fast" ? fastLeaseProfile : defaultLeaseProfile;
  const etcdCallDeadlineMs = lease.renewDeadlineMs * callShare;
  await using backends = openBackends(config, { clock, random, log, registry, signal, etcdCallDeadlineMs });
  const toAgents = { channelCredentials: channelCredentials(tls), headers: joinTokenHeaders(config.joinTokens) };
  const scheduler = createScheduler({
    config: {
      ...defaultSchedulerConfig,
      schedulerId: id,
      lease,
      capacity: config.capacity,
      lookAheadTasksMax: config.lookAheadTasksMax,
      retentionMs: config.retentionMs,
    },
    clock,
    random,
    log,
    registry,
    store: backends.store,
    queue: backends.queue,
    signals: backends.signals,
    coordinator: backends.coordinator,
    queues: sharedQueues(),
    balancer: { ...throttleOf(config), ownerLoadMax: config.ownerLoadMax },
    workedMs,
    connectAgent: (address) => apiClient(AgentServiceService, address, toAgents),
  });
  await using http = await httpServer({
    address: config.httpHost,
    port: config.httpPort,
    registry,
    health: { running: () => !signal.aborted, ...readinessOf(scheduler, backends) },
  });
  announce(`scheduler ${id} on -, ${http.url}/readyz`);
  await runAll(
    signal,
    async (stop) => {
      await backends.opened;
      if (!stop.aborted) await scheduler.run(stop);
    },
    async (stop) => await tls?.run(stop),
  );
}
