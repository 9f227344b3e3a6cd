import { expect, test } from "vitest";
import { Room } from "./room.ts";
import { Shared } from "./shared.ts";

/** Work that ends when it is told to. */
function aWork() {
  const runs: { succeed: (value: string) => void; fail: (error: Error) => void }[] = [];
  const work = () => new Promise<string>((succeed, fail) => runs.push({ succeed, fail }));
  return { runs, shared: new Shared(work) };
}
const settle = () => new Promise((resolve) => setImmediate(resolve));

test("all who ask before it has begun share a run; who asks later shares the next", async () => {
  const { runs, shared } = aWork();
  const first = [shared.run(), shared.run(), shared.run()];
  await settle();
  expect(runs).toHaveLength(1);
  const second = [shared.run(), shared.run()];
  await settle();
  expect(runs).toHaveLength(1);

  runs[0]?.succeed("old");
  expect(await Promise.all(first)).toEqual(["old", "old", "old"]);
  await settle();
  runs[1]?.succeed("new");
  expect(await Promise.all(second)).toEqual(["new", "new"]);
  expect(runs).toHaveLength(2);
});

test("a run that fails fails for those who share it, and for nobody else", async () => {
  const { runs, shared } = aWork();
  const failing = shared.run();
  await settle();
  const next = shared.run();
  runs[0]?.fail(new Error("no"));
  await expect(failing).rejects.toThrow("no");
  await settle();
  runs[1]?.succeed("yes");
  expect(await next).toBe("yes");
});

test("a room lets in as many as it holds, in their order; one that is larger enters alone", async () => {
  const room = new Room(10);
  const inside: string[] = [];
  const enter = (name: string, size: number) => void room.enter(size).then(() => inside.push(name));
  enter("a", 6);
  enter("b", 5);
  enter("c", 1);
  await settle();
  expect(inside).toEqual(["a"]);
  room.leave(6);
  await settle();
  expect(inside).toEqual(["a", "b", "c"]);
  enter("large", 50);
  room.leave(5);
  await settle();
  expect(inside).not.toContain("large");
  room.leave(1);
  await settle();
  expect(inside).toContain("large");
});
