import { expect, test } from "vitest";
import { eventually } from "./eventually.ts";
import { FakeClock } from "./fake-clock.ts";

test("it returns the first truthy answer, however often the condition threw before", async () => {
  const clock = new FakeClock();
  let looks = 0;
  const found = eventually(
    () => {
      looks += 1;
      if (looks < 3) throw new Error("not yet");
      return looks === 5 ? "found" : undefined;
    },
    { clock },
  );
  await clock.advance(100);
  expect(await found).toBe("found");
});

test("it gives up with the last error as the cause", async () => {
  const failing = () => {
    throw new Error("never");
  };
  await expect(eventually(failing, { timeoutMs: 20 })).rejects.toMatchObject({ cause: { message: "never" } });
});
