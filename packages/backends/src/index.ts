export { type BackendDeps, type BackendName, type Backends, openBackends } from "./open-backends.ts";
export type { BackendConfig } from "./settings.ts";
