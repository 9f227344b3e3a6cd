export * from "./load-balancer.ts";
export { loadBalancerMetrics } from "./metrics.ts";
export { defaultOwnerLoadConfig } from "./owner-loads.ts";
export * from "./throttle/solve.ts";
export { type AdmissionThrottle, type AdmissionThrottleOptions, createAdmissionThrottle } from "./throttle/throttle.ts";
