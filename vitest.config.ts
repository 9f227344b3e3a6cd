import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: [
      "packages/*/src/**/*.test.ts",
      "test/**/*.test.ts",
      "examples/**/*.test.ts",
      "chaos/**/*.test.ts",
      "drill/**/*.test.ts",
    ],
    // Every worker that opens PGlite holds about 0.7 GB. On two cores: many tests wait for time-outs of real systems.
    maxWorkers: 3,
    // Tests wait for facts, never for time; this only ends one that waits for ever, on a slow and busy machine too.
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
