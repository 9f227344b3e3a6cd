export * from "./faulty-coordinator.ts";
export * from "./holders.ts";
