// What outlives a driver that was killed: network namespaces, interfaces and mounts. Their names carry the driver's pid, and
// the next driver removes those of the dead.
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run, runs } from "./run.ts";

/** Two letters tell apart what one process makes at different times. Interfaces have names of at most 15 characters. */
export function networkTag(): string {
  const letter = () => String.fromCharCode(97 + Math.floor(Math.random() * 26));
  return `slu${process.pid}${letter()}${letter()}`;
}
const networkPattern = /\bslu(\d+)[a-z]{2}[-\w]*/g;

/** The device that a mount of ours names; and the beginning of the name of the folder that holds it. */
export const diskDevice = `sluice-disk-${process.pid}`;
const diskPattern = /^sluice-disk-(\d+)/;

/** Needs root. */
export function removeLeftovers(): void {
  for (const namespace of ofTheDead(run("ip", "netns", "list"))) runs("ip", "netns", "delete", namespace);
  // The ends of interfaces go with their namespaces, but later.
  for (const device of ofTheDead(run("ip", "-o", "link", "show"))) runs("ip", "link", "delete", device);
  for (const line of readFileSync("/proc/self/mounts", "utf8").split("\n")) {
    const [device = "", path = ""] = line.split(" ");
    if (isDead(diskPattern.exec(device)?.[1])) runs("umount", "--lazy", path);
  }
  for (const name of readdirSync(tmpdir())) {
    if (isDead(diskPattern.exec(name)?.[1])) rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}

function ofTheDead(text: string): Set<string> {
  return new Set([...text.matchAll(networkPattern)].flatMap(([name, pid]) => (isDead(pid) ? [name] : [])));
}

function isDead(pid: string | undefined): boolean {
  if (pid === undefined) return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}
