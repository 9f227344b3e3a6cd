export * from "./assert.ts";
export * from "./clock.ts";
export * from "./errors.ts";
export * from "./ids.ts";
export * from "./loops.ts";
export * from "./placement/partition.ts";
export * from "./random.ts";
export * from "./task/task.ts";
