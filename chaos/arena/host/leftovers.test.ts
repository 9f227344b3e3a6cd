import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openArena } from "../index.ts";
import { probeCapabilities } from "./capabilities.ts";
import { openDisks } from "./disks.ts";
import { removeLeftovers } from "./leftovers.ts";
import { openNetwork } from "./network.ts";
import { run } from "./run.ts";

const mounts = () => readFileSync("/proc/self/mounts", "utf8");
const networks = () => run("ip", "netns", "list") + run("ip", "-o", "link", "show");

test("namespaces, interfaces and mounts of a driver that is dead are removed, those of one that lives are not", async () => {
  const capabilities = await probeCapabilities();
  if (!capabilities.has("netns") || !capabilities.has("tmpfs")) {
    const impossible = openArena({ isolated: ["agent-0"], smallDisks: { "nats-0": 1 } });
    await expect(impossible).rejects.toMatchObject({ reason: "FAULT_IMPOSSIBLE" });
    return;
  }
  using _network = openNetwork(["agent-0"]);
  using _disks = openDisks({ "nats-0": 1 });
  const { pid } = spawnSync("true");
  const folder = join(tmpdir(), `sluice-disk-${pid}-x`);
  mkdirSync(folder);
  run("mount", "-t", "tmpfs", "-o", "size=1m", `sluice-disk-${pid}`, folder);
  run("ip", "netns", "add", `slu${pid}aa-agent-0`);
  run("ip", "link", "add", `slu${pid}aabr`, "type", "bridge");

  removeLeftovers();

  expect([existsSync(folder), mounts().includes(folder), networks().includes(`slu${pid}`)]).toEqual([
    false,
    false,
    false,
  ]);
  expect(networks()).toContain(`slu${process.pid}`);
  expect(mounts()).toContain(`sluice-disk-${process.pid}`);
});
