export * from "./load-balancer.ts";
export type { MemberInfo } from "./members.ts";
