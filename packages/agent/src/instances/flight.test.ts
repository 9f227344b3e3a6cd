import { FakeClock } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { AttemptLog } from "./attempt-log.ts";
import { Flight } from "./flight.ts";
import type { Invocation } from "./invocation.ts";

test("what no runner would send as progress is left out", async () => {
  const clock = new FakeClock();
  const values: string[] = [];
  const invocation = { onProgress: (json: string) => void values.push(json) } as Partial<Invocation> as Invocation;
  const flight = new Flight(1, invocation, new AttemptLog(() => undefined, 1_000), clock);
  for (const text of ["x".repeat(10), "1".repeat(8_193), "1".repeat(8_192)]) {
    flight.sawProgress(Buffer.from(text));
    await clock.advance(1_000);
  }
  expect(values).toEqual(["1".repeat(8_192)]);
});
