import { Counter, Gauge, Histogram, type Registry } from "prom-client";

/** Every metric of the etcd driver. */
export interface EtcdMetrics {
  readonly calls: Counter<"call" | "outcome">;
  readonly callDuration: Histogram<"call">;
  readonly up: Gauge;
  readonly hostChanges: Counter;
  readonly watchRestarts: Counter;
}

export function etcdMetrics(registry: Registry): EtcdMetrics {
  const registers = [registry];
  return {
    calls: new Counter({
      name: "sluice_etcd_calls_total",
      help: "Calls of etcd by kind and outcome: answered, or unknown when no answer came in time",
      labelNames: ["call", "outcome"],
      registers,
    }),
    callDuration: new Histogram({
      name: "sluice_etcd_call_duration_seconds",
      help: "Time of a call of etcd by kind, with its repetitions on other hosts",
      labelNames: ["call"],
      buckets: [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
      registers,
    }),
    up: new Gauge({
      name: "sluice_etcd_up_state",
      help: "1 while etcd answers",
      registers,
    }),
    hostChanges: new Counter({
      name: "sluice_etcd_host_changes_total",
      help: "Connections to a host of etcd that were given up for the next host, or for a new one to the same",
      registers,
    }),
    watchRestarts: new Counter({
      name: "sluice_etcd_watch_restarts_total",
      help: "Watches that ended and were opened again",
      registers,
    }),
  };
}
