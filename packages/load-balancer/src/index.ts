export * from "./load-balancer.ts";
export type { MemberInfo } from "./members.ts";
export { loadBalancerMetrics } from "./metrics.ts";
