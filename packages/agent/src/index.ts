export { type Agent, type AgentDeps, createAgent, type WatchdogPort } from "./agent.ts";
export * from "./code/code-cache.ts";
export { type AgentConfig, defaultAgentConfig } from "./config.ts";
export { createCodeFetch, type FetchCodeDeps } from "./fetch-code.ts";
export { type FileJournal, openFileJournal } from "./file-journal.ts";
export * from "./instances/pool.ts";
export { createMemoryJournal, type Journal } from "./journal.ts";
export { Fenced, type FenceReason } from "./lifeline/fenced.ts";
export { agentMetrics } from "./metrics.ts";
