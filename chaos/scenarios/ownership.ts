// Who owns what in the cluster under test.
import { until } from "@sluice/testbed";
import type { Arena, PartitionName, Stage } from "../contract.ts";

/** What a scheduler owns now; undefined for other parts, and while etcd does not say. */
export async function partitionsOf({ arena }: Stage, name: string): Promise<readonly PartitionName[] | undefined> {
  if (!name.startsWith("scheduler-")) return undefined;
  const partitions = await arena.partitions().catch(() => undefined);
  return partitions && (partitions.get(name) ?? []);
}

/** Names of the services of a kind, such as `scheduler-0`. */
export function namesOf({ cluster }: Arena, kind: "api-server" | "scheduler" | "agent"): string[] {
  return cluster.services.filter((service) => service.kind === kind).map(({ name }) => name);
}

/** The leading scheduler. */
export async function leaderOf({ arena }: Stage): Promise<string> {
  return untilSome(() => arena.leader(), { what: "nobody leads", timeoutMs: 30_000 });
}

/** Waits until another scheduler leads. */
export async function untilLedByAnother({ arena }: Stage, old: string): Promise<void> {
  const isAnother = async () => {
    const leader = await arena.leader().catch(() => undefined);
    return leader !== undefined && leader !== old;
  };
  await until(isAnother, { what: `nobody leads but ${old}`, timeoutMs: 60_000, everyMs: 100 });
}

/** The queues that have owners now. */
export async function ownedQueues({ arena }: Stage): Promise<ReadonlySet<string>> {
  return queuesIn(await arena.partitions());
}

/** Waits until every lane of the queues (default: those that have owners now) has an owner, other than `except`. */
export async function untilOwned(
  stage: Stage,
  options: { readonly queues?: ReadonlySet<string>; readonly except?: string } = {},
): Promise<void> {
  const { queues = await ownedQueues(stage), except } = options;
  const what = `partitions are without owner${except === undefined ? "" : ` but ${except}`}`;
  await untilPartitions(stage, what, (partitions) => covers(partitions, queues, except));
}

/** Waits until every scheduler owns something, and no lane is without owner. */
export async function untilSpread(stage: Stage): Promise<void> {
  const schedulers = namesOf(stage.arena, "scheduler");
  await untilPartitions(stage, "the partitions are not spread over the schedulers", (partitions) => {
    const haveSome = schedulers.every((name) => (partitions.get(name)?.length ?? 0) > 0);
    return haveSome && covers(partitions, queuesIn(partitions));
  });
}

type Partitions = ReadonlyMap<string, readonly PartitionName[]>;

async function untilPartitions({ arena }: Stage, what: string, holds: (now: Partitions) => boolean): Promise<void> {
  // While etcd is away nobody can say who owns what.
  const now = () => arena.partitions().catch(() => new Map());
  await until(async () => holds(await now()), { what, timeoutMs: 120_000, everyMs: 200 });
}

function queuesIn(partitions: Partitions): ReadonlySet<string> {
  return new Set([...partitions.values()].flat().map(({ queue }) => queue));
}

/** Whether the prefixes of each queue, disjoint as they are, make a whole. */
function covers(partitions: Partitions, queues: ReadonlySet<string>, except?: string): boolean {
  const shares = new Map<string, number>();
  for (const [owner, owned] of partitions) {
    if (owner === except) continue;
    for (const { queue, prefix } of owned) shares.set(queue, (shares.get(queue) ?? 0) + 2 ** -prefix.length);
  }
  return [...queues].every((queue) => shares.get(queue) === 1);
}

async function untilSome<T>(
  get: () => Promise<T | undefined>,
  options: { readonly what: string; readonly timeoutMs: number },
): Promise<T> {
  let found: T | undefined;
  await until(async () => {
    found = await get();
    return found !== undefined;
  }, options);
  return found as T;
}
