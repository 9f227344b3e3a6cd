// What was changed in the cluster, by rule or command.
import type { ClusterEvent } from "@sluice/client";
import type { Context } from "../context.ts";
import { type ExitCode, exitCodes } from "../errors.ts";
import { formatTime } from "../format.ts";
import { type Cell, writeJson, writeNote, writeTable } from "../output.ts";

export interface EventsOptions {
  readonly queue?: string;
  readonly limit?: number;
}

export async function clusterEvents(context: Context, { queue, limit }: EventsOptions): Promise<ExitCode> {
  const { client, output, signal, json } = context;
  const events = await client.cluster.events({ signal, queue, limit });
  if (json) for (const event of events) await writeJson(output, event);
  else if (events.length === 0) await writeNote(output, "nothing was changed lately");
  else await writeTable(output, ["TIME", "WHAT", "OF", "FROM", "TO", "WHY"], events.map(rowOf));
  return exitCodes.ok;
}

function rowOf(event: ClusterEvent): Cell[] {
  const { atMs, kind, from = "-", to = "-" } = event;
  return [formatTime(atMs), kind, subjectOf(event), from, to, whyOf(event)].map((text) => ({ text }));
}

/** A partition, as `cluster partitions` writes it, and whose queue it is. */
function subjectOf({ queue, prefix, account, function: name }: ClusterEvent): string {
  const place = queue !== undefined && prefix !== undefined && prefix !== "" ? `${queue}/${prefix}` : queue;
  const flow = account === undefined || name === undefined ? undefined : `${account}/${name}`;
  if (place !== undefined && flow !== undefined) return `${place} (${flow})`;
  return place ?? flow ?? "-";
}

/** Such as `load (busy 0.93)`, or `command (by ops)`. */
function whyOf({ reason, by, figures }: ClusterEvent): string {
  const details = [
    ...(by === undefined ? [] : [`by ${by}`]),
    ...Object.entries(figures).map(([name, value]) => `${name} ${value}`),
  ];
  return details.length === 0 ? reason : `${reason} (${details.join(", ")})`;
}
