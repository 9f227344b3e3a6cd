import { Counter, Gauge, Histogram, type Registry } from "prom-client";

export type ApiServerMetrics = ReturnType<typeof apiServerMetrics>;

/** Every metric of an api-server. */
export function apiServerMetrics(registry: Registry) {
  const registers = [registry];
  return {
    httpRequests: new Counter({
      name: "sluice_api_server_http_requests_total",
      help: "Requests of the HTTP API by the status that they were answered with",
      labelNames: ["status"] as const,
      registers,
    }),
    submissions: new Counter({
      name: "sluice_api_server_submissions_total",
      help: "Submissions by what became of them: accepted, repeated, duplicate or rejected",
      labelNames: ["outcome"] as const,
      registers,
    }),
    rejections: new Counter({
      name: "sluice_api_server_rejections_total",
      help: "Rejected submissions by reason",
      labelNames: ["reason"] as const,
      registers,
    }),
    routedAside: new Counter({
      name: "sluice_api_server_routed_aside_tasks_total",
      help: "Submissions that went to the second queue of their account because the first was longer",
      registers,
    }),
    throttled: new Counter({
      name: "sluice_api_server_throttled_submissions_total",
      help: "Submissions refused as more than a fair share of a full queue, by what was too much: account, function, others (all small ones), queue (it is full), stream (it is nearly full)",
      labelNames: ["scope"] as const,
      registers,
    }),
    throttleDrops: new Gauge({
      name: "sluice_api_server_throttled_flows",
      help: "Accounts and functions of which the load-balancer has a share refused",
      registers,
    }),
    throttleFlows: new Gauge({
      name: "sluice_api_server_sampled_flows",
      help: "Flows in the bounded memory that finds out who submits most",
      registers,
    }),
    groupTasks: new Histogram({
      name: "sluice_api_server_group_commit_size_tasks",
      help: "Rows of one insert",
      buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000],
      registers,
    }),
    groupSeconds: new Histogram({
      name: "sluice_api_server_group_commit_duration_seconds",
      help: "Time of one insert, from the call of the store to its answer",
      buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5],
      registers,
    }),
    pendingTasks: new Gauge({
      name: "sluice_api_server_record_backlog_tasks",
      help: "Admitted submissions that wait for their insert",
      registers,
    }),
    admissionBytes: new Gauge({
      name: "sluice_api_server_admission_bytes",
      help: "Submissions in memory that are not answered yet",
      registers,
    }),
    announceBacklog: new Gauge({
      name: "sluice_api_server_announce_backlog_blocks",
      help: "Blocks that wait to be published",
      registers,
    }),
    announced: new Counter({
      name: "sluice_api_server_announced_blocks_total",
      help: "Blocks that were published",
      registers,
    }),
    announceFailures: new Counter({
      name: "sluice_api_server_announce_failures_total",
      help: "Attempts to publish that failed and are tried again",
      registers,
    }),
    announceDropped: new Counter({
      name: "sluice_api_server_announce_dropped_tasks_total",
      help: "Tasks whose announcement was left to the sweeper because too many waited",
      registers,
    }),
    calls: new Counter({
      name: "sluice_api_server_calls_total",
      help: "Calls that ended, by method and code",
      labelNames: ["method", "code"] as const,
      registers,
    }),
    callSeconds: new Histogram({
      name: "sluice_api_server_call_duration_seconds",
      help: "Time of unary calls by method",
      labelNames: ["method"] as const,
      buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30],
      registers,
    }),
    watchers: new Gauge({
      name: "sluice_api_server_watchers_calls",
      help: "Calls that wait for a task to change",
      registers,
    }),
    heartbeats: new Counter({
      name: "sluice_api_server_heartbeats_total",
      help: "Heartbeats of agents by answer: valid, invalid or dead",
      labelNames: ["answer"] as const,
      registers,
    }),
    registrations: new Counter({
      name: "sluice_api_server_registrations_total",
      help: "Incarnations of agents that were registered",
      registers,
    }),
    clusterCommands: new Counter({
      name: "sluice_api_server_cluster_commands_total",
      help: "Partitions and routes that operators changed, by kind: split, merge, move, add route, remove route",
      labelNames: ["kind"] as const,
      registers,
    }),
    ready: new Gauge({
      name: "sluice_api_server_ready_state",
      help: "1 while the api-server takes calls and its store answers",
      registers,
    }),
  };
}
