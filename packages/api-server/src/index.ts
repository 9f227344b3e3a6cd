export { type Credential, createAccessKey, type NewAccessKey } from "./accounts/access-key.ts";
export { localAccount } from "./accounts/authenticate.ts";
export { type MasterKeySource, readMasterKey } from "./accounts/master-key.ts";
export { type ApiServer, type ApiServerOptions, createApiServer } from "./api-server.ts";
export { type ApiServerConfig, defaultApiServerConfig } from "./config.ts";
export type { InspectZip } from "./functions/code.ts";
export { apiServerMetrics } from "./metrics.ts";
export { type ServeOptions, serveApi } from "./serve.ts";
export {
  type Arrival,
  createSubmitThrottle,
  type SubmitThrottle,
  type SubmitThrottleOptions,
} from "./submit/throttle/throttle.ts";
