// Lets the faults of a plan happen, each kind at its own pace, until it is told to heal.
import { readMembers, readWishes } from "@sluice/coordination";
import { AppError, parentOf } from "@sluice/core";
import type { Api, ClusterServiceService, PartitionChange } from "@sluice/protocol";
import type { CounterName } from "./counters.ts";
import type { Dice } from "./dice.ts";
import { calm, type FaultKind, type FaultPlan, faultKinds } from "./faults.ts";
import type { World } from "./world.ts";

const systems = ["store", "queue", "coordinator"] as const;

export interface FaultDriver {
  /** No more faults: links heal, frozen processes go on, and what is down comes back. */
  heal(): void;
}

export function startFaults(world: World, plan: FaultPlan): FaultDriver {
  const dice = world.dice.fork("faults");
  const cures = new Set<() => void>();
  const operator = world.operator("operator");
  let isHealed = false;
  world.rates = plan.rates;

  function schedule(kind: FaultKind, everyMs: number, own: Dice): void {
    world.clock.timer(own.between(1, 2 * everyMs), () => {
      if (isHealed) return;
      if (kind === "cluster command") void command(world, operator, own);
      else strike(world, kind, own, cures);
      schedule(kind, everyMs, own);
    });
  }
  for (const kind of faultKinds) {
    const everyMs = plan.everyMs[kind];
    if (everyMs !== undefined) schedule(kind, everyMs, dice.fork(kind));
  }
  return {
    heal() {
      isHealed = true;
      world.rates = calm;
      for (const cure of cures) cure();
      cures.clear();
      for (const process of world.processes) process.thaw();
      world.trace.add("HEAL");
    },
  };
}

function strike(world: World, kind: Exclude<FaultKind, "cluster command">, dice: Dice, cures: Set<() => void>): void {
  const { names, counters } = world;
  // Around the time to live of a lease for schedulers, and around the life of an agent for agents.
  const freezeMs = (longMs: number) =>
    dice.pick([dice.between(1, 400), dice.between(400, 6_000), dice.between(6_000, longMs)]);
  switch (kind) {
    case "scheduler crash":
      counters.add("scheduler crashed");
      world.scheduler(dice.pick(names.schedulers)).crash();
      return;
    case "scheduler freeze":
      counters.add("scheduler frozen");
      world.scheduler(dice.pick(names.schedulers)).freeze(freezeMs(18_000));
      return;
    case "scheduler hand-off":
      counters.add("scheduler handed off");
      world.scheduler(dice.pick(names.schedulers)).stop();
      return;
    case "agent crash":
      counters.add("agent crashed");
      world.agent(dice.pick(names.agents)).crash();
      return;
    case "agent freeze":
      counters.add("agent frozen");
      world.agent(dice.pick(names.agents)).freeze(freezeMs(40_000));
      return;
    case "agent restart":
      world.agent(dice.pick(names.agents)).stop();
      return;
    case "api-server crash":
      counters.add("api-server crashed");
      world.apiServer(dice.pick(names.apiServers)).crash();
      return;
    case "partition":
    case "one-way partition":
      partition(world, dice, { isOneWay: kind === "one-way partition" }, cures);
      return;
    case "cut from a system":
      cutFromSystem(world, dice, cures);
      return;
    case "system outage":
      outage(world, dice, cures);
      return;
    case "stream break":
      breakStream(world, dice);
      return;
    case "lease lost":
      void loseLease(world, dice);
      return;
  }
}

function cutFor(world: World, ms: number, pairs: readonly (readonly [string, string])[], cures: Set<() => void>): void {
  const heals = pairs.map(([from, to]) => world.network.cut(from, to));
  const cure = () => {
    for (const heal of heals) heal();
    cures.delete(cure);
  };
  cures.add(cure);
  world.clock.timer(ms, cure);
}

function partition(world: World, dice: Dice, { isOneWay }: { isOneWay: boolean }, cures: Set<() => void>): void {
  const { schedulers, agents, apiServers } = world.names;
  const [one, other] = dice.pick([
    [dice.pick(schedulers), dice.pick(agents)] as const,
    [dice.pick(agents), dice.pick(apiServers)] as const,
  ]);
  const ms = dice.pick([dice.between(50, 3_000), dice.between(3_000, 30_000)]);
  const direction = dice.chance(0.5) ? ([one, other] as const) : ([other, one] as const);
  const pairs = isOneWay ? [direction] : [[one, other] as const, [other, one] as const];
  cutFor(world, ms, pairs, cures);
}

/** Nobody reaches it. */
function outage(world: World, dice: Dice, cures: Set<() => void>): void {
  const system = dice.pick(systems);
  const ms = dice.pick([dice.between(100, 4_000), dice.between(4_000, 28_000)]);
  const hosts = [...world.names.schedulers, ...world.names.apiServers];
  world.counters.add("system outage");
  cutFor(
    world,
    ms,
    hosts.flatMap((host) => [[host, system] as const, [system, host] as const]),
    cures,
  );
}

function cutFromSystem(world: World, dice: Dice, cures: Set<() => void>): void {
  const host = dice.pick([...world.names.schedulers, ...world.names.apiServers]);
  const system = dice.pick(systems);
  const ms = dice.pick([dice.between(50, 3_000), dice.between(3_000, 20_000)]);
  const both = [[host, system] as const, [system, host] as const];
  cutFor(world, ms, dice.chance(0.6) ? both : [dice.pick(both)], cures);
}

function breakStream(world: World, dice: Dice): void {
  const open = [...world.connections];
  if (open.length === 0) return;
  const connection = dice.pick(open);
  const inFlight = dice.chance(0.5) ? "late" : "lost";
  world.counters.add("stream broken");
  world.trace.add(`BREAK ${connection.fromHost}>${connection.toHost} ${inFlight}`);
  connection.break(inFlight);
}

/** As a stale leader of etcd does it: the lease ends before its time. */
async function loseLease(world: World, dice: Dice): Promise<void> {
  const entries = (await world.coordinator.list("/")).filter(({ leaseId }) => leaseId !== undefined);
  if (entries.length === 0) return;
  const { key, leaseId } = dice.pick(entries);
  world.counters.add("lease lost early");
  world.trace.add(`LEASE LOST ${key}`);
  await world.coordinator.revoke({ id: leaseId ?? "", ttlMs: 0 });
}

/** An operator splits, merges or moves something, at a moment that suits nobody. */
async function command(world: World, operator: Api<typeof ClusterServiceService>, dice: Dice): Promise<void> {
  const { partitions, queue } = dice.pick(await readWishes(world.coordinator));
  const members = await readMembers(world.coordinator);
  if (partitions.length === 0 || members.length === 0) return;
  const { prefix } = dice.pick(partitions);
  const [kind, call] = dice.pick<[CounterName, (context: { signal: AbortSignal }) => Promise<PartitionChange>]>([
    ["partition split", (context) => operator.splitPartition({ queue, prefix }, context)],
    ["partitions merged", (context) => operator.mergePartition({ queue, prefix: parentOf(prefix) ?? "" }, context)],
    ["partition moved", (context) => operator.movePartition({ queue, prefix, to: dice.pick(members).id }, context)],
  ]);
  world.trace.add(`COMMAND ${kind} ${queue}/${prefix}`);
  try {
    const { changed } = await call({ signal: new AbortController().signal });
    if (changed) world.counters.add(kind);
  } catch (cause) {
    if (!(cause instanceof AppError)) world.onBug(cause);
  }
}
