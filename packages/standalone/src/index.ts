export { type AgentHost, type AgentHostOptions, createAgentHost } from "./agent-host.ts";
export type { ClientProfile } from "./credentials.ts";
export { standaloneSpec, type StandaloneConfig } from "./settings.ts";
export { runStandalone, type Serving, type StandaloneDeps } from "./standalone.ts";
