import { Counter, Gauge, Histogram, type Registry } from "prom-client";

export type PostgresMetrics = ReturnType<typeof postgresMetrics>;

/** Every metric of the PostgreSQL driver. */
export function postgresMetrics(registry: Registry) {
  const registers = [registry];
  return {
    up: new Gauge({
      name: "sluice_postgres_up_state",
      help: "1 while PostgreSQL answers, as last seen by this process",
      registers,
    }),
    connections: new Gauge({
      name: "sluice_postgres_connections",
      help: "Connections to PostgreSQL by state: idle, busy or connecting",
      labelNames: ["state"] as const,
      registers,
    }),
    connects: new Counter({
      name: "sluice_postgres_connects_total",
      help: "Attempts to connect to PostgreSQL, by outcome: connected or failed",
      labelNames: ["outcome"] as const,
      registers,
    }),
    outages: new Counter({
      name: "sluice_postgres_outages_total",
      help: "Times that PostgreSQL was found to be away",
      registers,
    }),
    waiting: new Gauge({
      name: "sluice_postgres_waiting_calls",
      help: "Calls that wait for a connection",
      registers,
    }),
    waitSeconds: new Histogram({
      name: "sluice_postgres_wait_duration_seconds",
      help: "How long calls waited for a connection, of those that had to",
      buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2],
      registers,
    }),
    statementSeconds: new Histogram({
      name: "sluice_postgres_statement_duration_seconds",
      help: "Time of a statement from its sending to its answer, by name; also of those that failed",
      labelNames: ["statement"] as const,
      buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10],
      registers,
    }),
    errors: new Counter({
      name: "sluice_postgres_errors_total",
      help: "Calls that failed, by reason: an outage such as away or deadlock, or the reason of the error",
      labelNames: ["reason"] as const,
      registers,
    }),
  };
}
