// Functions that have a queue of their own, for operators.
import type { ClusterRoute, RouteChange } from "@sluice/client";
import type { Context } from "../context.ts";
import { type ExitCode, exitCodes } from "../errors.ts";
import { formatTime } from "../format.ts";
import { type Cell, writeJson, writeNote, writeTable } from "../output.ts";
import type { FlowName } from "../parse.ts";

export async function listRoutes({ client, output, signal, json }: Context): Promise<ExitCode> {
  const routes = await client.cluster.routes({ signal });
  if (json) for (const route of routes) await writeJson(output, route);
  else if (routes.length === 0) await writeNote(output, "no function has a queue of its own");
  else await writeTable(output, head, routes.map(rowOf));
  return exitCodes.ok;
}

export async function addRoute(context: Context, { account, name }: FlowName): Promise<ExitCode> {
  return report(context, await context.client.cluster.addRoute(account, name, context));
}

export async function removeRoute(context: Context, { account, name }: FlowName): Promise<ExitCode> {
  return report(context, await context.client.cluster.removeRoute(account, name, context));
}

/** What is wanted now; the cluster follows within seconds. */
async function report({ output, json }: Context, { route, changed }: RouteChange): Promise<ExitCode> {
  if (json) await writeJson(output, { changed, route });
  else {
    await writeTable(output, head, [rowOf(route)]);
    if (!changed) await writeNote(output, "it was so already");
  }
  return exitCodes.ok;
}

const head = ["FUNCTION", "QUEUE", "STATE", "REASON", "SINCE", "IDLE SINCE"];

function rowOf({ account, function: name, queue, state, reason, changedAtMs, idleSinceMs }: ClusterRoute): Cell[] {
  return [
    { text: `${account}/${name}` },
    { text: queue },
    { text: state, ...(state === "open" ? {} : { style: "yellow" as const }) },
    { text: reason },
    { text: formatTime(changedAtMs) },
    { text: formatTime(idleSinceMs) },
  ];
}
