export * from "./faulty-coordinator.ts";
