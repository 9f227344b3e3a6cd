// What a fault must not do to agents.
import { httpGet } from "@sluice/testbed";
import type { Arena, Stage } from "../contract.ts";
import { countersIn } from "../evidence/counters.ts";

/** Throws when an agent ended its own incarnation meanwhile, and so what it ran. */
export async function fencingNobody({ arena }: Stage, work: () => Promise<void>): Promise<void> {
  const before = await fences(arena);
  await work();
  const after = await fences(arena);
  if (after > before) throw new Error(`${after - before} agents were fenced`);
}

async function fences({ cluster }: Arena): Promise<number> {
  const agents = cluster.services.filter(({ kind }) => kind === "agent");
  const counts = agents.map(async ({ httpAddress }) => {
    const [host, port] = httpAddress.split(":");
    const { text } = await httpGet(Number(port), "/metrics", host);
    return countersIn(text).get("sluice_agent_fences_total") ?? 0;
  });
  return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
}
