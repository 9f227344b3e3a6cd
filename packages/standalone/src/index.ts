export type { ClientProfile } from "./credentials.ts";
export { type OpenedFolder, openFolder } from "./open-folder.ts";
export { type StandaloneConfig, standaloneSpec } from "./settings.ts";
export { runStandalone, type Serving, type StandaloneDeps } from "./standalone.ts";
