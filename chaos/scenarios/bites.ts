// Whether a fault was one: a scenario whose fault did nothing shows nothing, and fails.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { httpGet, until } from "@sluice/testbed";
import type { Part, Stage } from "../contract.ts";

const execute = promisify(execFile);

/** Throws when another process does not run in its place after the work. */
export async function replacing(part: Part, work: () => Promise<void>): Promise<void> {
  const before = part.pid;
  await work();
  if (part.pid === before) throw new Error(`${part.name} was not ended: it is still process ${before}`);
}

/** Waits until the system says that the process is stopped. */
export async function untilFrozen({ name, pid }: Part): Promise<void> {
  if (pid === undefined) throw new Error(`${name} does not run, and cannot be frozen`);
  const isStopped = async () => {
    const { stdout } = await execute("ps", ["-o", "stat=", "-p", String(pid)]);
    return stdout.trim().startsWith("T");
  };
  await until(isStopped, { what: `${name} does not stand still`, timeoutMs: 10_000 });
}

/** Throws when a service goes on answering while its event loop should be blocked. */
export async function untilSilent({ arena }: Stage, name: string, blockedMs: number): Promise<void> {
  const [host, port] = arena.cluster.service(name).httpAddress.split(":");
  const beganAt = performance.now();
  const passed = () => (performance.now() - beganAt) / blockedMs;
  while (passed() < 0.5) {
    const askedAt = passed();
    const answers = await httpGet(Number(port), "/healthz", host).then(
      () => true,
      () => false,
    );
    // What arrives just before the block is answered, and what arrives at its end.
    if (answers && askedAt > 0.25 && passed() < 0.75) {
      throw new Error(`the event loop of ${name} was not blocked: it goes on answering`);
    }
  }
}

/** Something of each name must have suffered. */
export function requireSome(what: string, counts: ReadonlyMap<string, number>): void {
  const none = [...counts].filter(([, count]) => count === 0).map(([name]) => name);
  if (none.length > 0) throw new Error(`${what} on ${none.join(", ")}`);
}
