import { assert, type EpochMs, isRetryable, laneCount, lanesOf, type Prefix } from "@sluice/core";
import { fieldsOf } from "./fields.ts";
import type { Condition, Coordinator, Entry, Operation } from "./index.ts";
import { wishesPrefix, wishKey } from "./keys.ts";

/**
 * What the load-balancer, or an operator, wants of one queue. Everything that a decision of theirs has to outlive is in it, so
 * that a new leader knows as much as the one before.
 */
export interface Wish {
  readonly queue: string;
  /** Prefixes that together cover all lanes once, each with its owner. */
  readonly partitions: readonly WishedPartition[];
  /** Of the key; 0: not written yet. */
  readonly modRevision: number;
  /** Until then the load-balancer neither splits nor merges partitions of this queue. */
  readonly shapeRestsUntil?: EpochMs | undefined;
  /**
   * Tasks that a prefix dispatched per second when it was split because it could not keep up: its halves stay apart while they
   * dispatch about as many.
   */
  readonly splitAt?: Readonly<Record<Prefix, number>> | undefined;
}

export interface WishedPartition {
  readonly prefix: Prefix;
  readonly ownerId: string;
  /** Until then it stays with its owner, unless that leaves. */
  readonly restsUntil?: EpochMs | undefined;
  /**
   * Tasks that it dispatched per second when it was given to its owner because another one had too much to do: it is not moved
   * for the sake of evenness while it dispatches about as many.
   */
  readonly heldAt?: number | undefined;
}

/** However wrong the clock of whoever wrote it was: nothing rests for longer. */
const restMsMax = 24 * 3_600_000;

/** Whether something rests still. */
export function isResting(restsUntil: EpochMs | undefined, now: EpochMs): boolean {
  return restsUntil !== undefined && restsUntil > now && restsUntil <= now + restMsMax;
}

export async function readWishes(coordinator: Coordinator): Promise<Wish[]> {
  return (await coordinator.list(wishesPrefix)).map(parseWish);
}

/**
 * Writes a wish if it is still the one that was read, and if `conditions` hold; `along` in the same transaction. False: somebody
 * else changed it, or they do not hold. Recognises its own earlier success.
 */
export async function writeWish(
  coordinator: Coordinator,
  wish: Wish,
  conditions: readonly Condition[] = [],
  along: readonly Operation[] = [],
): Promise<boolean> {
  const { queue, partitions, modRevision } = wish;
  assert(coverAllLanesOnce(partitions), `the partitions of a wish cover all lanes once: ${JSON.stringify(partitions)}`);
  const key = wishKey(queue);
  const value = textOf(wish);
  const unchanged: Condition = modRevision === 0 ? { key, is: "absent" } : { key, modRevision };
  let failure: unknown;
  try {
    const { succeeded } = await coordinator.commit([unchanged, ...conditions], [{ op: "put", key, value }, ...along]);
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
  const queue = key.slice(wishesPrefix.length);
  const fields = fieldsOf(value);
  const partitions = partitionsIn(fields["partitions"]);
  if (!coverAllLanesOnce(partitions)) return { queue, partitions: [], modRevision };
  const { shapeRestsUntil } = fields;
  return {
    queue,
    partitions,
    modRevision,
    ...(typeof shapeRestsUntil === "number" && { shapeRestsUntil }),
    ...splitAtIn(fields["splitAt"]),
  };
}

/** Equal for equal wishes, so that a writer recognises its own. */
function textOf({ partitions, shapeRestsUntil, splitAt = {} }: Wish): string {
  return JSON.stringify({
    partitions: partitions.map(({ prefix, ownerId, restsUntil, heldAt }) => ({ prefix, ownerId, restsUntil, heldAt })),
    shapeRestsUntil,
    splitAt: Object.keys(splitAt).length === 0 ? undefined : splitAt,
  });
}

function partitionsIn(partitions: unknown): WishedPartition[] {
  if (!Array.isArray(partitions)) return [];
  return partitions.flatMap((item: Partial<Record<keyof WishedPartition, unknown>> | null) => {
    const { prefix, ownerId, restsUntil, heldAt } = item ?? {};
    if (typeof prefix !== "string" || !/^[01]{0,5}$/.test(prefix) || typeof ownerId !== "string") return [];
    const rests = typeof restsUntil === "number" && { restsUntil };
    return [{ prefix, ownerId, ...rests, ...(typeof heldAt === "number" && { heldAt }) }];
  });
}

function splitAtIn(splitAt: unknown): Pick<Wish, "splitAt"> {
  if (typeof splitAt !== "object" || splitAt === null) return {};
  const rates = Object.entries(splitAt).filter(
    (entry): entry is [Prefix, number] => /^[01]{0,4}$/.test(entry[0]) && typeof entry[1] === "number",
  );
  return rates.length > 0 ? { splitAt: Object.fromEntries(rates) } : {};
}

function coverAllLanesOnce(partitions: Wish["partitions"]): boolean {
  const covered = new Array<number>(laneCount).fill(0);
  for (const { prefix } of partitions) {
    const { from, until } = lanesOf(prefix);
    for (let lane = from; lane < until; lane++) covered[lane] = (covered[lane] ?? 0) + 1;
  }
  return covered.every((times) => times === 1);
}
