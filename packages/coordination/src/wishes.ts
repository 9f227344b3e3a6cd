import { assert, isRetryable, laneCount, lanesOf, type Prefix } from "@sluice/core";
import type { Condition, Coordinator, Entry } from "./index.ts";
import { wishesPrefix, wishKey } from "./keys.ts";

/** What the load-balancer wants of one queue: prefixes that together cover all lanes once, each with its owner. */
export interface Wish {
  readonly queue: string;
  readonly partitions: readonly { readonly prefix: Prefix; readonly ownerId: string }[];
  /** Of the key; 0: not written yet. */
  readonly modRevision: number;
}

export async function readWishes(coordinator: Coordinator): Promise<Wish[]> {
  return (await coordinator.list(wishesPrefix)).map(parseWish);
}

/**
 * Writes a wish if it is still the one that was read, and if `conditions` hold. False: somebody else changed it, or they do
 * not hold. Recognises its own earlier success.
 */
export async function writeWish(
  coordinator: Coordinator,
  { queue, partitions, modRevision }: Wish,
  conditions: readonly Condition[] = [],
): Promise<boolean> {
  assert(coverAllLanesOnce(partitions), `the partitions of a wish cover all lanes once: ${JSON.stringify(partitions)}`);
  const key = wishKey(queue);
  const value = JSON.stringify({ partitions: partitions.map(({ prefix, ownerId }) => ({ prefix, ownerId })) });
  const unchanged: Condition = modRevision === 0 ? { key, is: "absent" } : { key, modRevision };
  let failure: unknown;
  try {
    const { succeeded } = await coordinator.commit([unchanged, ...conditions], [{ op: "put", key, value }]);
    if (succeeded) return true;
  } catch (error) {
    if (!isRetryable(error)) throw error;
    failure = error;
  }
  const entry = await coordinator.get(key);
  if (entry !== undefined && entry.modRevision !== modRevision) return entry.value === value;
  // Nothing has changed yet, but the transaction may still be on its way: not an answer.
  if (failure !== undefined) throw failure;
  return false;
}

/** Also of a text that says nothing: a wish without partitions, so that the load-balancer writes it anew. */
export function parseWish({ key, value, modRevision }: Entry): Wish {
  const partitions = partitionsIn(value);
  return {
    queue: key.slice(wishesPrefix.length),
    partitions: coverAllLanesOnce(partitions) ? partitions : [],
    modRevision,
  };
}

function partitionsIn(value: string): Wish["partitions"] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(value);
  } catch {
    return [];
  }
  const { partitions } = (parsed ?? {}) as { readonly partitions?: unknown };
  if (!Array.isArray(partitions)) return [];
  return partitions.flatMap((item: { readonly prefix?: unknown; readonly ownerId?: unknown } | null) => {
    const { prefix, ownerId } = item ?? {};
    const isPrefix = typeof prefix === "string" && /^[01]{0,5}$/.test(prefix);
    return isPrefix && typeof ownerId === "string" ? [{ prefix, ownerId }] : [];
  });
}

function coverAllLanesOnce(partitions: Wish["partitions"]): boolean {
  const covered = new Array<number>(laneCount).fill(0);
  for (const { prefix } of partitions) {
    const { from, until } = lanesOf(prefix);
    for (let lane = from; lane < until; lane++) covered[lane] = (covered[lane] ?? 0) + 1;
  }
  return covered.every((times) => times === 1);
}
