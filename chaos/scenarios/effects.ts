// What a fault does to services, and what it must not do to them.

import type { ServiceKind } from "@sluice/cluster";
import { httpGet, until } from "@sluice/testbed";
import type { Arena, Stage } from "../contract.ts";
import { countersIn } from "../evidence/counters.ts";
import { namesOf } from "./ownership.ts";

/** Far more than anything here takes on a machine that is busy. */
const generousMs = 60_000;
const stillMs = 5_000;
const triesMax = 8;

/** Throws when an agent ended its own incarnation meanwhile, and so what it ran. */
export async function fencingNobody(stage: Stage, work: () => Promise<void>): Promise<void> {
  const agents = namesOf(stage.arena, "agent");
  const before = await fencesOf(stage.arena, agents);
  await work();
  const after = await fencesOf(stage.arena, agents);
  const fenced = agents.filter((agent) => after.get(agent) !== before.get(agent));
  if (fenced.length > 0) throw new Error(`${fenced.join(", ")} ended their incarnations, or died`);
}

/** The work must make the agent end its own incarnation. It is given what waits for that, to last as long. */
export async function fencing(
  { arena }: Stage,
  agent: string,
  work: (fenced: () => Promise<void>) => Promise<void>,
): Promise<void> {
  const before = await fencesOf(arena, [agent]);
  const fenced = () =>
    until(async () => (await fencesOf(arena, [agent])).get(agent) !== before.get(agent), {
      what: `${agent} has not ended its incarnation`,
      timeoutMs: generousMs,
      everyMs: 100,
    });
  await work(fenced);
  await fenced();
}

/**
 * The work must make the schedulers lose their leases. It is given what waits for that, to last as long. One that has none,
 * since a fault before this one cost it its lease, is given the time to ask for another.
 */
export async function losingLease(
  stage: Stage,
  names: readonly string[],
  work: (lost: () => Promise<void>) => Promise<void>,
): Promise<void> {
  let before: ReadonlySet<string> = new Set();
  await until(
    async () => {
      before = await leasesOf(stage.arena, names).catch(() => before);
      return before.size >= names.length;
    },
    { what: `not all of ${names.join(", ")} have a lease to lose`, timeoutMs: generousMs, everyMs: 100 },
  );
  const lost = () =>
    until(async () => isDisjoint(await leasesNow(stage.arena), before), {
      what: `${names.join(", ")} kept a lease`,
      timeoutMs: generousMs,
      everyMs: 100,
    });
  await work(lost);
  await lost();
}

/** Throws when a scheduler lost its lease meanwhile. */
export async function keepingLeases({ arena }: Stage, work: () => Promise<void>): Promise<void> {
  const before = await leasesOf(arena, namesOf(arena, "scheduler"));
  await work();
  const after = await leasesNow(arena);
  const lost = [...before].filter((lease) => !after.has(lease)).length;
  if (lost > 0) throw new Error(`${lost} schedulers lost their leases`);
}

/** Waits until the schedulers have sent nothing to agents for some seconds, though clients go on submitting. */
export async function untilNothingIsDispatched({ arena }: Stage): Promise<void> {
  const schedulers = namesOf(arena, "scheduler");
  const look = async () => {
    const counts = schedulers.map((name) => countOf(arena, name, "sluice_scheduler_dispatched_attempts_total"));
    return (await Promise.all(counts).catch(() => undefined))?.join();
  };
  let before: string | undefined;
  let since = performance.now();
  const standsStill = async () => {
    const now = await look();
    if (now === undefined || now !== before) since = performance.now();
    before = now;
    return performance.now() - since > stillMs;
  };
  await until(standsStill, { what: "schedulers go on dispatching", timeoutMs: generousMs, everyMs: 250 });
}

/** Sum of a counter over the living services of a kind. One that does not answer counts as 0. */
export async function counted({ arena }: Stage, kind: ServiceKind, counter: string): Promise<number> {
  const counts = namesOf(arena, kind).map((name) => countOf(arena, name, counter).catch(() => 0));
  return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
}

/** Waits until a counter of the services of a kind is higher than it was. */
export async function untilCounted(
  stage: Stage,
  kind: ServiceKind,
  counter: string,
  { than, timeoutMs = generousMs }: { readonly than: number; readonly timeoutMs?: number },
): Promise<void> {
  const isHigher = async () => (await counted(stage, kind, counter)) > than;
  await until(isHigher, { what: `${counter} is still ${than}`, timeoutMs, everyMs: 250 });
}

/**
 * The work must make the store refuse a write of an owner that was replaced. It may have none on its way just then, so the work is
 * done again, some times.
 */
export async function refusingWrites(stage: Stage, work: () => Promise<void>): Promise<void> {
  const refused = () => counted(stage, "scheduler", "sluice_scheduler_stale_writes_total");
  const before = await refused();
  for (let tries = 0; tries < triesMax; tries += 1) {
    await work();
    if ((await refused()) > before) return;
  }
  throw new Error(`no write was refused in ${triesMax} tries`);
}

/** How often each has ended an incarnation, in which process. Waits for those that do not answer just now. */
async function fencesOf(arena: Arena, agents: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const fences = new Map<string, string>();
  for (const agent of agents) {
    const ask = async () => {
      const { pid } = arena.part(agent);
      const count = await countOf(arena, agent, "sluice_agent_fences_total").catch(() => undefined);
      if (count !== undefined) fences.set(agent, `${pid}: ${count}`);
      return count !== undefined;
    };
    await until(ask, { what: `${agent} does not answer`, timeoutMs: generousMs, everyMs: 100 });
  }
  return fences;
}

async function countOf({ cluster }: Arena, service: string, counter: string): Promise<number> {
  const [host, port] = cluster.service(service).httpAddress.split(":");
  const { text } = await httpGet(Number(port), "/metrics", host);
  return countersIn(text).get(counter) ?? 0;
}

function isDisjoint(some: ReadonlySet<string>, others: ReadonlySet<string>): boolean {
  return [...some].every((each) => !others.has(each));
}

async function leasesOf(arena: Arena, names: readonly string[]): Promise<ReadonlySet<string>> {
  const leases = [...(await arena.leases())].filter(([, name]) => names.includes(name));
  return new Set(leases.map(([lease]) => lease));
}

/** Waits for etcd. */
async function leasesNow(arena: Arena): Promise<ReadonlySet<string>> {
  let leases: ReadonlySet<string> | undefined;
  const ask = async () => {
    leases = await arena.leases().then(
      (all) => new Set(all.keys()),
      () => undefined,
    );
    return leases !== undefined;
  };
  await until(ask, { what: "etcd does not answer", timeoutMs: generousMs, everyMs: 100 });
  return leases as ReadonlySet<string>;
}
