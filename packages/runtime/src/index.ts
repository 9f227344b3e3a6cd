export * from "./clock.ts";
export * from "./config/config.ts";
export * as setting from "./config/setting.ts";
export * from "./http-server.ts";
export * from "./log.ts";
export * from "./logger.ts";
export * from "./metrics.ts";
export * from "./random.ts";
export * from "./signals.ts";
