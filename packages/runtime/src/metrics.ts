import { collectDefaultMetrics, type Registry } from "prom-client";

/**
 * Metrics of the process itself: CPU, memory, file descriptors, garbage collection, and the lag of the event loop
 * (`nodejs_eventloop_lag_p99_seconds`), which is what tells that a service blocks itself. Call once per registry.
 */
export function processMetrics(registry: Registry): void {
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 10 });
}
