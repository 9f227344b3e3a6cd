import { writeWish } from "@sluice/coordination";
import { createMemoryCoordinator } from "@sluice/coordination/memory";
import type { OwnedPartition } from "@sluice/core";
import { FakeClock } from "@sluice/core/testing";
import { silentLogger } from "@sluice/runtime";
import { expect, test } from "vitest";
import { type PurgeUnownedDeps, purgeUnownedLoop } from "./purge-unowned.ts";

const [gone, owned] = ["d0123456789abcdef", "d0000000000000000"];

test("the leader purges queues that were given up under their last epochs, and no others", async () => {
  const world = await startWorld();
  world.isLeading = false;
  await world.clock.advance(60_000);
  expect(world.purged).toEqual([]);
  world.isLeading = true;
  await world.clock.advance(60_000);
  expect(world.purged).toEqual([
    { queue: gone, prefix: "0", epoch: 7 },
    { queue: gone, prefix: "0", epoch: 7 },
    { queue: gone, prefix: "1", epoch: 9 },
  ]);
  await world.stop();
});

async function startWorld() {
  const clock = new FakeClock();
  const coordinator = createMemoryCoordinator({ clock });
  await writeWish(coordinator, { queue: owned, partitions: [{ prefix: "", ownerId: "s1" }], modRevision: 0 });
  const purged: OwnedPartition[] = [];
  const left = [500, 3, 0];
  const split = [...new Array<number>(16).fill(7), ...new Array<number>(16).fill(9)];
  const same = new Array<number>(32).fill(5);
  const lanes = {
    allFloors: async () =>
      new Map([
        ["q0", same],
        [owned, same],
        [gone, split],
      ]),
    purge: async (owner: OwnedPartition) => {
      purged.push(owner);
      return left.shift() ?? 0;
    },
  };
  const stop = new AbortController();
  const world = { clock, purged, isLeading: true, stop: async () => {} };
  const running = purgeUnownedLoop({
    config: { purgeEveryMs: 60_000, retentionMs: 1_000 },
    ...{ clock, log: silentLogger, coordinator },
    store: { lanes } as unknown as PurgeUnownedDeps["store"],
    isLeading: () => world.isLeading,
  })(stop.signal);
  world.stop = async () => {
    stop.abort();
    await running;
  };
  return world;
}
