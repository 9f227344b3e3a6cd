export * from "../gen/sluice/internal/v1/agent.ts";
export * from "../gen/sluice/internal/v1/agent_gateway.ts";
export * from "../gen/sluice/v1/function_service.ts";
export * from "../gen/sluice/v1/task.ts";
export * from "../gen/sluice/v1/task_service.ts";
export * from "./credentials.ts";
export * from "./errors.ts";
export type { Identity } from "./identity.ts";
export * from "./rpc.ts";
