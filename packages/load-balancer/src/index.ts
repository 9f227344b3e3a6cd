export * from "./load-balancer.ts";
export { loadBalancerMetrics } from "./metrics.ts";
