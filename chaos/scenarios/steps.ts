// What scenarios are made of: one fault each, noted while it lasts.
import type { Direction, PartitionName, Stage } from "../contract.ts";
import { partitionsOf } from "./ownership.ts";

/** kill -9, and a new start after `downMs` (default: at once). Resolves when it is ready again. */
export async function crash(stage: Stage, name: string, { downMs = 0 } = {}): Promise<void> {
  const part = stage.arena.part(name);
  const over = stage.mark("crash", name, await partitionsOf(stage, name));
  await part.crash();
  await stage.sleep(downMs);
  await part.start();
  over();
}

/** SIGTERM, and a new start as soon as it has ended in order. */
export async function restart(stage: Stage, name: string, { downMs = 0 } = {}): Promise<void> {
  const part = stage.arena.part(name);
  const over = stage.mark("stop", name, await partitionsOf(stage, name));
  await part.stop();
  await stage.sleep(downMs);
  await part.start();
  over();
}

/** SIGSTOP, and SIGCONT after `ms`. */
export async function freeze(stage: Stage, name: string, ms: number): Promise<void> {
  await freezeAll(stage, [name], ms);
}

/** The same for several at once. */
export async function freezeAll(stage: Stage, names: readonly string[], ms: number): Promise<void> {
  const parts = names.map((name) => stage.arena.part(name));
  const owned = await Promise.all(names.map((name) => partitionsOf(stage, name)));
  const overs = names.map((name, index) => stage.mark("freeze", name, owned[index]));
  for (const part of parts) part.freeze();
  await stage.sleep(ms);
  for (const part of parts) part.thaw();
  for (const over of overs) over();
}

/** One way from a part to another, in the direction in which connections are opened. */
export type Way = readonly [from: string, to: string];

/** Does nothing in the event loop of a service for `ms`. */
export async function block(stage: Stage, name: string, ms: number): Promise<void> {
  const over = stage.mark("block", name, await partitionsOf(stage, name));
  stage.arena.part(name).block(ms);
  await stage.sleep(ms);
  over();
}

/** Killed, and started again without its data. */
export async function wipe(stage: Stage, name: string): Promise<void> {
  const part = stage.arena.part(name);
  const over = stage.mark("wipe", name);
  await part.crash();
  await part.wipe();
  await part.start();
  over();
}

export interface CutOptions {
  readonly ms: number;
  readonly direction?: Direction;
  /** Of a scheduler that will lose them by this. */
  readonly partitions?: readonly PartitionName[] | undefined;
}

/** Lets everything vanish on the ways, for a while. */
export async function cut(
  stage: Stage,
  ways: readonly Way[],
  { ms, direction = "both", partitions }: CutOptions,
): Promise<void> {
  const links = ways.map(([from, to]) => stage.arena.link(from, to));
  const kind = direction === "both" ? "cut" : `cut-${direction}`;
  const overs = ways.map(([from, to], index) =>
    stage.mark(kind, `${from} > ${to}`, index === 0 ? partitions : undefined),
  );
  for (const link of links) link.cut(direction);
  await stage.sleep(ms);
  for (const link of links) link.heal();
  for (const over of overs) over();
}

/** Drops the packets of a service in a network namespace of its own, for a while; `there`: those that it sends. */
export async function dropPackets(
  stage: Stage,
  name: string,
  { ms, direction }: { readonly ms: number; readonly direction: Direction },
): Promise<void> {
  const packets = stage.arena.packets(name);
  const over = stage.mark(direction === "both" ? "drop" : `drop-${direction}`, name);
  packets.cut(direction);
  await stage.sleep(ms);
  packets.heal();
  over();
}

/** Makes the ways slow, for a while: every piece of data takes `delayMs` longer, or at most `bytesPerSecond` pass. */
export async function slow(
  stage: Stage,
  ways: readonly Way[],
  { ms, delayMs, bytesPerSecond }: { readonly ms: number; readonly delayMs?: number; readonly bytesPerSecond?: number },
): Promise<void> {
  const links = ways.map(([from, to]) => stage.arena.link(from, to));
  const over = stage.mark("slow", describeWays(ways));
  for (const link of links) {
    if (delayMs !== undefined) link.delay(delayMs);
    if (bytesPerSecond !== undefined) link.limit(bytesPerSecond);
  }
  await stage.sleep(ms);
  for (const link of links) link.heal();
  over();
}

/** Resets every connection of the ways, once. */
export function reset(stage: Stage, ways: readonly Way[]): void {
  stage.mark("reset", describeWays(ways))();
  for (const [from, to] of ways) stage.arena.link(from, to).reset();
}

function describeWays(ways: readonly Way[]): string {
  const [first] = ways;
  return ways.length === 1 && first ? `${first[0]} > ${first[1]}` : `${ways.length} links`;
}
