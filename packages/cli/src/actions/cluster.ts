// What operators see of the cluster, and how they change its partitions.
import type { Cluster, ClusterMember, ClusterPartition, PartitionChange } from "@sluice/client";
import type { Context } from "../context.ts";
import { type ExitCode, exitCodes } from "../errors.ts";
import { formatDuration, formatTime, type Style } from "../format.ts";
import { type Cell, writeJson, writeNote, writeTable } from "../output.ts";
import type { PartitionName } from "../parse.ts";

/** The sums: whether everything is there and has an owner, and what waits. */
export async function clusterStatus({ client, output, signal, json }: Context): Promise<ExitCode> {
  const cluster = await client.cluster.get({ signal });
  const { members, queues, agents } = cluster;
  const partitions = partitionsOf(cluster);
  const facts = {
    leader: members.find(({ leader }) => leader)?.id,
    members: members.length,
    draining: members.filter(({ draining }) => draining).length,
    queues: queues.length,
    partitions: partitions.length,
    unowned: partitions.filter(({ owner }) => owner === undefined).length,
    moving: partitions.filter(isMoving).length,
    waiting: partitions.reduce((sum, { waiting }) => sum + waiting, 0),
    backlogAgeMs: Math.max(0, ...partitions.map(({ backlogAgeMs }) => backlogAgeMs)),
    agents: agents.length,
    silent: agents.filter(({ state }) => state !== "alive").length,
    slots: agents.reduce((sum, { slots }) => sum + slots, 0),
  };
  if (json) await writeJson(output, facts);
  else {
    const bad = (count: number, word: string) => (count > 0 ? ` (${count} ${word})` : "");
    await writeTable(output, undefined, [
      fact("leader", facts.leader ?? "none at this moment", facts.leader === undefined ? "yellow" : undefined),
      fact("schedulers", `${facts.members}${bad(facts.draining, "leaving")}`),
      fact("queues", String(facts.queues)),
      fact(
        "partitions",
        `${facts.partitions}${bad(facts.unowned, "without an owner")}${bad(facts.moving, "moving")}`,
        facts.unowned + facts.moving > 0 ? "yellow" : undefined,
      ),
      fact(
        "waiting",
        `${facts.waiting}${facts.waiting > 0 ? `, the oldest for ${formatDuration(facts.backlogAgeMs)}` : ""}`,
      ),
      fact("agents", `${facts.agents}${bad(facts.silent, "not heard of")}`, facts.silent > 0 ? "red" : undefined),
      fact("slots", String(facts.slots)),
    ]);
  }
  return exitCodes.ok;
}

export async function clusterMembers({ client, output, signal, json }: Context): Promise<ExitCode> {
  const cluster = await client.cluster.get({ signal });
  const owned = (id: string) => partitionsOf(cluster).filter(({ owner }) => owner === id);
  if (json) {
    for (const member of cluster.members) await writeJson(output, { ...member, partitions: owned(member.id).length });
    return exitCodes.ok;
  }
  const rows = cluster.members.map((member): Cell[] => {
    const partitions = owned(member.id);
    const waiting = partitions.reduce((sum, partition) => sum + partition.waiting, 0);
    const busy = member.busy === undefined ? "-" : `${Math.round(100 * member.busy)} %`;
    const texts = [member.id, String(member.capacity), String(partitions.length), String(waiting), busy];
    return [...texts.map((text) => ({ text })), roleOf(member)];
  });
  if (rows.length === 0) await writeNote(output, "no schedulers");
  else await writeTable(output, ["SCHEDULER", "CAPACITY", "PARTITIONS", "WAITING", "BUSY", "ROLE"], rows);
  return exitCodes.ok;
}

export async function clusterPartitions(
  { client, output, signal, json }: Context,
  queue: string | undefined,
): Promise<ExitCode> {
  const all = partitionsOf(await client.cluster.get({ signal }));
  const partitions = all.filter((partition) => queue === undefined || partition.queue === queue);
  if (json) {
    for (const partition of partitions) await writeJson(output, partition);
    return exitCodes.ok;
  }
  if (partitions.length === 0) await writeNote(output, queue === undefined ? "no partitions yet" : `no queue ${queue}`);
  else await writeTable(output, partitionHead, partitions.map(partitionRow));
  return exitCodes.ok;
}

export async function clusterAgents({ client, output, signal, json }: Context): Promise<ExitCode> {
  const { agents } = await client.cluster.get({ signal });
  if (json) {
    for (const agent of agents) await writeJson(output, agent);
    return exitCodes.ok;
  }
  const rows = agents.map((agent): Cell[] => {
    const { id, incarnation, address, slots, state, renewedAtMs } = agent;
    const texts = [id, String(incarnation), address, String(slots), formatTime(renewedAtMs)];
    return [...texts.map((text) => ({ text })), { text: state, style: state === "alive" ? "green" : "red" }];
  });
  if (rows.length === 0) await writeNote(output, "no agents");
  else await writeTable(output, ["AGENT", "INCARNATION", "ADDRESS", "SLOTS", "RENEWED", "STATE"], rows);
  return exitCodes.ok;
}

export async function splitPartition(context: Context, { queue, prefix }: PartitionName): Promise<ExitCode> {
  return report(context, await context.client.cluster.split(queue, prefix, context));
}

export async function mergePartition(context: Context, { queue, prefix }: PartitionName): Promise<ExitCode> {
  return report(context, await context.client.cluster.merge(queue, prefix, context));
}

export async function movePartition(
  context: Context,
  { queue, prefix }: PartitionName,
  { to }: { readonly to: string },
): Promise<ExitCode> {
  return report(context, await context.client.cluster.move(queue, prefix, to, context));
}

/** What is wished now; the schedulers follow within moments. */
async function report({ output, json }: Context, { queue, changed }: PartitionChange): Promise<ExitCode> {
  const partitions = queue.partitions.map(({ prefix, wishedOwner, restsUntilMs }) => ({
    prefix,
    wishedOwner,
    restsUntilMs,
  }));
  if (json) await writeJson(output, { changed, queue: queue.name, partitions });
  else {
    const rows = queue.partitions.map((partition): Cell[] => [
      { text: nameOf(partition) },
      { text: partition.wishedOwner ?? "-" },
      { text: formatTime(partition.restsUntilMs) },
    ]);
    await writeTable(output, ["PARTITION", "WISHED OWNER", "RESTS UNTIL"], rows);
    if (!changed) await writeNote(output, "it was so already");
  }
  return exitCodes.ok;
}

const partitionHead = [
  ...["PARTITION", "OWNER", "WISHED OWNER", "EPOCH", "WAITING", "PARKED", "OLDEST", "PER SECOND", "RESTS UNTIL"],
];

function partitionRow(partition: ClusterPartition): Cell[] {
  const { owner, wishedOwner, epoch, waiting, parked, backlogAgeMs, dispatchedPerSecond, restsUntilMs } = partition;
  const style: { style?: Style } = owner === undefined || isMoving(partition) ? { style: "yellow" } : {};
  return [
    { text: nameOf(partition) },
    { text: owner ?? "-", ...style },
    { text: wishedOwner ?? "-", ...style },
    { text: String(epoch) },
    { text: String(waiting) },
    { text: String(parked) },
    { text: waiting > 0 ? formatDuration(backlogAgeMs) : "-" },
    { text: String(dispatchedPerSecond) },
    { text: formatTime(restsUntilMs) },
  ];
}

function partitionsOf({ queues }: Cluster): readonly ClusterPartition[] {
  return queues.flatMap(({ partitions }) => partitions);
}

function isMoving({ owner, wishedOwner }: ClusterPartition): boolean {
  return owner !== undefined && owner !== wishedOwner;
}

/** As `split`, `merge` and `move` take it. */
function nameOf({ queue, prefix }: ClusterPartition): string {
  return prefix === "" ? queue : `${queue}/${prefix}`;
}

function roleOf({ leader, draining }: ClusterMember): Cell {
  const roles = [...(leader ? ["leader"] : []), ...(draining ? ["leaving"] : [])];
  return { text: roles.join(", ") || "-", ...(draining && { style: "yellow" as const }) };
}

function fact(name: string, text: string, style?: Style): Cell[] {
  return [{ text: name }, { text, style }];
}
