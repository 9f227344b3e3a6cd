// What scenarios are made of: one fault each, noted while it lasts. Each throws when its fault did nothing.
import type { Direction, PartitionName, Stage } from "../contract.ts";
import { replacing, requireSome, untilFrozen, untilSilent } from "./bites.ts";
import { partitionsOf } from "./ownership.ts";

/** How long a fault lasts: so long, and until what must be seen meanwhile was seen. */
export interface Lasting {
  readonly ms: number;
  readonly meanwhile?: (() => Promise<void>) | undefined;
}

/** kill -9, and a new start after `downMs` (default: at once). Resolves when it is ready again. */
export async function crash(
  stage: Stage,
  name: string,
  { downMs = 0, meanwhile }: { readonly downMs?: number; readonly meanwhile?: Lasting["meanwhile"] } = {},
): Promise<void> {
  const part = stage.arena.part(name);
  const over = stage.mark("crash", name, await partitionsOf(stage, name));
  await replacing(part, async () => {
    await part.crash();
    await last(stage, { ms: downMs, meanwhile });
    await part.start();
  });
  over();
}

/** SIGTERM, and a new start as soon as it has ended in order. */
export async function restart(stage: Stage, name: string, { downMs = 0 } = {}): Promise<void> {
  const part = stage.arena.part(name);
  const over = stage.mark("stop", name, await partitionsOf(stage, name));
  await replacing(part, async () => {
    await part.stop();
    await stage.sleep(downMs);
    await part.start();
  });
  over();
}

/** SIGSTOP, and SIGCONT afterwards. */
export async function freeze(stage: Stage, name: string, lasting: Lasting): Promise<void> {
  await freezeAll(stage, [name], lasting);
}

/** The same for several at once. */
export async function freezeAll(stage: Stage, names: readonly string[], lasting: Lasting): Promise<void> {
  const parts = names.map((name) => stage.arena.part(name));
  const owned = await Promise.all(names.map((name) => partitionsOf(stage, name)));
  const overs = names.map((name, index) => stage.mark("freeze", name, owned[index]));
  for (const part of parts) part.freeze();
  await Promise.all([last(stage, lasting), ...parts.map(untilFrozen)]);
  for (const part of parts) part.thaw();
  for (const over of overs) over();
}

/** One way from a part to another, in the direction in which connections are opened. */
export type Way = readonly [from: string, to: string];

/** Does nothing in the event loop of a service for `ms`. */
export async function block(stage: Stage, name: string, ms: number): Promise<void> {
  const over = stage.mark("block", name, await partitionsOf(stage, name));
  stage.arena.part(name).block(ms);
  await Promise.all([stage.sleep(ms), untilSilent(stage, name, ms)]);
  over();
}

/** Killed, and started again without its data. */
export async function wipe(stage: Stage, name: string): Promise<void> {
  const part = stage.arena.part(name);
  const over = stage.mark("wipe", name);
  await replacing(part, async () => {
    await part.crash();
    await part.wipe();
    await part.start();
  });
  over();
}

export interface CutOptions extends Lasting {
  readonly direction?: Direction;
  /** Of a scheduler that will lose them by this. */
  readonly partitions?: readonly PartitionName[] | undefined;
  /** It is no failure when nothing goes a way. */
  readonly mayBeIdle?: boolean;
}

/** Lets everything vanish on the ways, for a while. */
export async function cut(
  stage: Stage,
  ways: readonly Way[],
  { direction = "both", partitions, mayBeIdle = false, ...lasting }: CutOptions,
): Promise<void> {
  const links = ways.map(([from, to]) => ({ name: `${from} > ${to}`, link: stage.arena.link(from, to) }));
  const before = links.map(({ link }) => link.held);
  const kind = direction === "both" ? "cut" : `cut-${direction}`;
  const overs = links.map(({ name }, index) => stage.mark(kind, name, index === 0 ? partitions : undefined));
  for (const { link } of links) link.cut(direction);
  await last(stage, lasting);
  const held = links.map(({ name, link }, index) => [name, link.held - (before[index] ?? 0)] as const);
  for (const { link } of links) link.heal();
  for (const over of overs) over();
  if (!mayBeIdle) requireSome("a cut held nothing back", new Map(held));
}

/** Drops the packets of a service in a network namespace of its own, for a while; `there`: those that it sends. */
export async function dropPackets(
  stage: Stage,
  name: string,
  { direction, ...lasting }: Lasting & { readonly direction: Direction },
): Promise<void> {
  const packets = stage.arena.packets(name);
  const over = stage.mark(direction === "both" ? "drop" : `drop-${direction}`, name);
  packets.cut(direction);
  await last(stage, lasting);
  const dropped = packets.dropped();
  packets.heal();
  over();
  requireSome("no packets were dropped", new Map([[name, dropped]]));
}

/** Makes the ways slow, for a while: every piece of data takes `delayMs` longer, or at most `bytesPerSecond` pass. */
export async function slow(
  stage: Stage,
  ways: readonly Way[],
  {
    delayMs,
    bytesPerSecond,
    mayBeIdle = false,
    ...lasting
  }: Lasting & { readonly delayMs?: number; readonly bytesPerSecond?: number; readonly mayBeIdle?: boolean },
): Promise<void> {
  const links = ways.map(([from, to]) => stage.arena.link(from, to));
  const heldNow = () => links.reduce((sum, { held }) => sum + held, 0);
  const before = heldNow();
  const over = stage.mark("slow", describeWays(ways));
  for (const link of links) {
    if (delayMs !== undefined) link.delay(delayMs);
    if (bytesPerSecond !== undefined) link.limit(bytesPerSecond);
  }
  await last(stage, lasting);
  const held = heldNow() - before;
  for (const link of links) link.heal();
  over();
  if (!mayBeIdle) requireSome("nothing was slowed down", new Map([[describeWays(ways), held]]));
}

/** Resets every connection of the ways, once. Returns how many there were. */
export function reset(stage: Stage, ways: readonly Way[]): number {
  stage.mark("reset", describeWays(ways))();
  return ways.reduce((sum, [from, to]) => sum + stage.arena.link(from, to).reset(), 0);
}

async function last(stage: Stage, { ms, meanwhile }: Lasting): Promise<void> {
  await Promise.all([stage.sleep(ms), meanwhile?.()]);
}

function describeWays(ways: readonly Way[]): string {
  const [first] = ways;
  return ways.length === 1 && first ? `${first[0]} > ${first[1]}` : `${ways.length} links`;
}
