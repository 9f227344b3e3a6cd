import { createHash } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { aZip } from "@sluice/runtime/testing";
import { expect, test } from "vitest";
import { countingRandom, eventually, realClock } from "../instances/testing.ts";
import { openCodeCache } from "./code-cache.ts";

const signal = new AbortController().signal;

test("a package is fetched once for many callers, and again never", async () => {
  using world = startWorld();
  const sha256 = await world.publish("one");
  const cache = await world.open();

  const leases = await Promise.all([1, 2, 3].map(() => cache.acquire(sha256, signal)));
  const later = await cache.acquire(sha256, signal);

  expect(world.fetched).toEqual([sha256]);
  expect(new Set([...leases, later].map(({ dir }) => dir)).size).toBe(1);
  expect(readFileSync(join(later.dir, "index.js"), "utf8")).toContain("one");
});

test("it survives a restart, unless a crash left it incomplete", async () => {
  using world = startWorld();
  const whole = await world.publish("whole");
  const torn = await world.publish("torn");
  const first = await world.open();
  await first.acquire(whole, signal);
  const { dir } = await first.acquire(torn, signal);
  chmodSync(join(dir, "index.js"), 0o644);
  appendFileSync(join(dir, "index.js"), "!");
  mkdirSync(join(world.directory, "tmp-left"));

  const second = await world.open();
  await second.acquire(whole, signal);
  await second.acquire(torn, signal);

  expect(world.fetched).toEqual([whole, torn, torn]);
  expect(readdirSync(world.directory).sort()).toEqual([whole, torn].sort());
});

test("a package with another digest is refused and leaves nothing", async () => {
  using world = startWorld();
  const sha256 = await world.publish("one");
  world.packages.set(sha256, Buffer.from("something else"));
  const cache = await world.open();

  await expect(cache.acquire(sha256, signal)).rejects.toMatchObject({ name: "BadPackage", reason: "digest" });
  await expect(cache.acquire("../../etc", signal)).rejects.toMatchObject({ reason: "digest" });

  expect(readdirSync(world.directory)).toEqual([]);
});

test("a bad package leaves nothing, and a failed fetch is tried again", async () => {
  using world = startWorld();
  const bad = await world.publishBytes(await aZip([{ name: "link", text: "/etc", mode: 0o120777 }]));
  const good = await world.publish("good");
  const bytes = world.packages.get(good) as Buffer;
  world.packages.delete(good);
  const cache = await world.open();

  await expect(cache.acquire(bad, signal)).rejects.toMatchObject({ reason: "link_or_device" });
  await expect(cache.acquire(good, signal)).rejects.toThrow("no such package");
  world.packages.set(good, bytes);
  await cache.acquire(good, signal);

  expect(readdirSync(world.directory)).toEqual([good]);
});

test("beyond its bytes the cache forgets what was used longest ago, but nothing in use", async () => {
  using world = startWorld();
  const [a, b, c] = await Promise.all(["a", "b", "c"].map((name) => world.publish(name, 1000)));
  const cache = await world.open(2500);
  const leaseA = await cache.acquire(String(a), signal);
  (await cache.acquire(String(b), signal)).release();
  await cache.acquire(String(c), signal);

  await eventually(() => !existsSync(join(world.directory, String(b))));
  expect(existsSync(join(leaseA.dir, "index.js"))).toBe(true);
  expect(cache.bytes).toBeLessThan(2500);
});

test("a caller that gives up is let go; the fetch ends with the last of them", async () => {
  using world = startWorld();
  const sha256 = await world.publish("one");
  const release = world.holdFetches();
  const cache = await world.open();
  const first = new AbortController();
  const givenUp = cache.acquire(sha256, first.signal);
  const patient = cache.acquire(sha256, signal);

  first.abort(new Error("given up"));
  await expect(givenUp).rejects.toThrow("given up");
  expect(world.aborted).toBe(0);
  release();
  expect((await patient).dir).toContain(sha256);

  const other = await world.publish("other");
  world.holdFetches();
  const last = new AbortController();
  const alone = cache.acquire(other, last.signal);
  last.abort(new Error("given up"));
  await expect(alone).rejects.toThrow("given up");
  await eventually(() => world.aborted === 1);
});

function startWorld() {
  const directory = mkdtempSync(join(tmpdir(), "sluice-code-"));
  const packages = new Map<string, Buffer>();
  let gate: Promise<void> = Promise.resolve();
  const world = {
    directory,
    packages,
    fetched: [] as string[],
    aborted: 0,
    holdFetches() {
      let open = () => {};
      gate = new Promise((resolve) => {
        open = () => resolve();
      });
      return open;
    },
    async publishBytes(bytes: Buffer) {
      const sha256 = createHash("sha256").update(bytes).digest("hex");
      packages.set(sha256, bytes);
      return sha256;
    },
    async publish(name: string, size = 10) {
      return world.publishBytes(await aZip([{ name: "index.js", text: `// ${name}`.padEnd(size, "-") }]));
    },
    open: (bytesMax = 1 << 20) =>
      openCodeCache({
        directory,
        clock: realClock,
        random: countingRandom,
        bytesMax,
        async fetch(sha256, fetchSignal) {
          world.fetched.push(sha256);
          fetchSignal.addEventListener("abort", () => world.aborted++);
          await gate;
          const bytes = packages.get(sha256);
          if (!bytes) throw new Error("no such package");
          return bytes;
        },
      }),
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  };
  return world;
}
