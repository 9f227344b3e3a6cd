// What is left when everything is over: instances, entries, blocks, consumers, and the keys of the coordinator.
import { describeExecution, type Leftover, type Rest } from "@sluice/checkers";
import { heldKeys } from "@sluice/coordination/testing";
import type { OwnedPartition, Partition } from "@sluice/core";
import type { Gauge, Registry } from "prom-client";
import type { World } from "../world.ts";
import { lifeOf } from "./claims.ts";

/** Seen: 5 at most; of a scheduler 19, and 13 for each partition that it owns. */
const timersMax = { scheduler: 24, other: 8, partition: 13 };

export async function findRest(world: World): Promise<Rest> {
  const { ledger, clock } = world;
  const running = ledger.executions.filter(({ endedAt }) => endedAt === undefined);
  const instances = running.map(
    (execution): Leftover => ({
      kind: "instance",
      what: describeExecution(execution),
      holder: `${execution.agentId}/${execution.incarnation}`,
    }),
  );
  const found = [
    ...instances,
    ...timers(world),
    ...inQueue(world),
    ...(await inMemory(world)),
    ...(await keys(world)),
    ...(await agents(world)),
  ];
  return { at: clock.monotonic(), alive: aliveIn(world), found };
}

function aliveIn(world: World): string[] {
  const schedulers = world.names.schedulers.map((name) => world.scheduler(name).node?.name);
  const living = world.agentLives.filter(({ downAt }) => downAt === undefined);
  const known = schedulers.filter((name) => name !== undefined);
  return [...known, ...living.map(({ agentId, incarnation }) => `${agentId}/${incarnation()}`)];
}

/** Every loop of a process has one or two. What forgets one per task has more of them than there are loops. */
function timers({ names, nodes, claims }: World): Leftover[] {
  return nodes.flatMap(({ name, host, clock }): Leftover[] => {
    const partitions = claims.filter(({ until, ownerId }) => until === undefined && ownerId === name).length;
    const own = names.schedulers.includes(host) ? timersMax.scheduler : timersMax.other;
    if (clock.pendingTimers <= own + partitions * timersMax.partition) return [];
    return [{ kind: "timer", what: `(${clock.pendingTimers})`, holder: name }];
  });
}

/** Blocks that nobody has acked, and consumers; one belongs to whoever owns its lanes under its epoch. */
function inQueue({ queue, server, claims }: World): Leftover[] {
  const blocks: Leftover[] = queue.size > 0 ? [{ kind: "block", what: `(${queue.size})`, holder: undefined }] : [];
  const consumers = queue.consumers.map(({ share }): Leftover => {
    const raised = server.events.findLast((event) => event.kind === "raised" && isSame(event.owner, share));
    const by = raised?.kind === "raised" ? raised.by : undefined;
    const isOwner = claims.some((claim) => claim.until === undefined && claim.ownerId === by && isOn(claim, share));
    const what = `${share.queue}/${share.prefix}/${share.priority}@${share.epoch}`;
    return { kind: "consumer", what, holder: isOwner ? by : undefined };
  });
  return [...blocks, ...consumers];
}

function isOn(one: Partition, other: Partition): boolean {
  return one.queue === other.queue && one.prefix === other.prefix;
}

function isSame(one: OwnedPartition, other: OwnedPartition): boolean {
  return isOn(one, other) && one.epoch === other.epoch;
}

async function inMemory(world: World): Promise<Leftover[]> {
  const found: Leftover[] = [];
  for (const [kind, metric, names] of [
    ["unconfirmed attempt", "sluice_agent_dedupe_table_attempts", world.names.agents],
    ["task in memory", "sluice_scheduler_tasks_in_memory", world.names.schedulers],
  ] as const) {
    for (const name of names) {
      const count = await gaugeOf(world.registryOf.get(name), metric);
      if (count > 0) found.push({ kind, what: `(${count})`, holder: name });
    }
  }
  return found;
}

async function gaugeOf(registry: Registry | undefined, name: string): Promise<number> {
  const gauge = registry?.getSingleMetric(name) as Gauge | undefined;
  const values = (await gauge?.get())?.values ?? [];
  return values.reduce((sum, { value }) => sum + value, 0);
}

async function keys(world: World): Promise<Leftover[]> {
  const entries = await world.coordinator.list("/");
  return heldKeys(entries).map((held): Leftover => ({ ...held, holder: lifeOf(held.holder) }));
}

/** That the store has for alive. */
async function agents({ server }: World): Promise<Leftover[]> {
  const records = await server.exclusive(
    () => server.store.agents.list(),
    () => undefined,
  );
  return records.map(({ agentId, incarnation }) => {
    const holder = `${agentId}/${incarnation}`;
    return { kind: "agent", what: "in the store", holder };
  });
}
