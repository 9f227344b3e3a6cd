import { expect, test } from "vitest";
import { systemClock } from "./clock.ts";

test("a sleep takes as long as it says", async () => {
  const startedAt = systemClock.monotonic();
  await systemClock.sleep(30);
  expect(systemClock.monotonic() - startedAt).toBeGreaterThanOrEqual(29);
});

test("a sleep ends at once when its signal aborts, or was aborted before", async () => {
  const controller = new AbortController();
  const sleep = systemClock.sleep(3_600_000, controller.signal);
  controller.abort();
  await sleep;
  await systemClock.sleep(3_600_000, controller.signal);
});

test("a timer beyond 2^31 ms does not fire at once", async () => {
  const fired: string[] = [];
  const cancel = systemClock.timer(2 ** 31, () => fired.push("far"));
  const cancelEndless = systemClock.timer(Number.MAX_SAFE_INTEGER, () => fired.push("endless"));
  await new Promise<void>((resolve) => {
    systemClock.timer(20, () => {
      fired.push("near");
      resolve();
    });
  });
  cancel();
  cancelEndless();
  expect(fired).toEqual(["near"]);
});

test("a cancelled timer does not fire", async () => {
  let fired = 0;
  systemClock.timer(5, () => fired++)();
  await systemClock.sleep(15);
  expect(fired).toBe(0);
});
