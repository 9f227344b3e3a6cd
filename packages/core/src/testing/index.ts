export * from "./eventually.ts";
export * from "./fake-clock.ts";
export * from "./fixtures.ts";
export * from "./seeded-random.ts";
