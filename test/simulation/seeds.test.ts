import { expect, test } from "vitest";
import { runSeeds } from "./seeds.ts";

test("a process that cannot start ends the run", { timeout: 60_000 }, async () => {
  const runs = [{ seed: 1 }, { seed: 2 }];
  const onOutcome = () => expect.fail("nothing was run");
  const outcome = runSeeds({ runs, processes: 1, onOutcome, control: "no such protection" });
  await expect(outcome).rejects.toThrow("a process that had not begun its first seed ended with 1");
});
