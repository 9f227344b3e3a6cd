// Replaces every service of a cluster by another version, one by one, as an operator does:
//
//   SIGTERM ──▶ gone ──▶ the other version starts ──▶ ready ──▶ tasks start as before ──▶ the next one
import type { ClusterService, ServiceKind } from "@sluice/cluster";
import type { PartitionName, Stage } from "../chaos/contract.ts";
import { type Farewell, type Probe, probesOf as portsOf, watchLeaving } from "./readiness.ts";

/** One service was replaced. Times in ms of the ledger's clock. */
export interface Step {
  readonly service: string;
  readonly kind: ServiceKind;
  /** The other version. */
  readonly to: string;
  /** It was asked to end, had ended, and the other version was ready. */
  readonly from: number;
  readonly goneAt: number;
  readonly until: number;
  /** What each probe heard of it from SIGTERM on. */
  readonly farewells: readonly Farewell[];
}

export interface UpgradeOptions {
  /** Name of the other version; default `again`, the same one. */
  readonly to?: string;
  /** Default: api-servers, schedulers, agents; the other way round when it is taken back. */
  readonly order?: readonly ServiceKind[];
  /** Called when a service is gone, before it is started again. */
  readonly onGone?: ((service: string) => void) | undefined;
  /** What says whether a service is ready; default: what its ports say. */
  readonly probesOf?: ((service: ClusterService) => readonly Probe[]) | undefined;
}

export const upwards: readonly ServiceKind[] = ["api-server", "scheduler", "agent"];

/** Tasks that must start between two steps, and how long that may take. */
const startsBetween = { count: 30, withinMs: 60_000 };
/** There should be something to lose; with less than `leastCount` nothing would be shown. */
const runsBefore = { count: 2, leastCount: 1, withinMs: 60_000, lookMs: 100 };

/** Resolves when every service was replaced. Rejects when one does not become ready, nothing runs that it could disturb, or tasks do not start any more. */
export async function rollUpgrade(stage: Stage, options: UpgradeOptions = {}): Promise<Step[]> {
  const { to = "again", order = upwards } = options;
  const steps: Step[] = [];
  for (const kind of order) {
    for (const service of stage.arena.cluster.services.filter((each) => each.kind === kind)) {
      await untilSomethingRuns(stage, kind === "agent" ? service.name : undefined);
      steps.push(await replace(stage, service, { ...options, to }));
      await stage.workload.started(startsBetween.count, startsBetween.withinMs);
    }
  }
  return steps;
}

async function replace(
  stage: Stage,
  service: ClusterService,
  { to, onGone, probesOf = portsOf }: UpgradeOptions & { readonly to: string },
): Promise<Step> {
  const { arena, workload, sleep } = stage;
  const { name, kind } = service;
  const part = arena.part(name);
  const over = stage.mark("upgrade", name, kind === "scheduler" ? await ownedBy(stage, name) : undefined);
  const probes = probesOf(service);
  const from = workload.now();
  const gone = part.stop();
  const farewells = watchLeaving({ probes, gone, sleep });
  await gone;
  const goneAt = workload.now();
  const heard = await farewells;
  onGone?.(name);
  await part.start();
  over();
  return { service: name, kind, to, from, goneAt, until: workload.now(), farewells: heard };
}

async function ownedBy({ arena }: Stage, service: string): Promise<readonly PartitionName[]> {
  return (await arena.partitions()).get(service) ?? [];
}

/** On the agent, or anywhere. Rejects when nothing does. */
async function untilSomethingRuns({ workload, sleep }: Stage, agentId: string | undefined): Promise<void> {
  const isMine = (task: { readonly agentId: string }) => agentId === undefined || task.agentId === agentId;
  const count = () => workload.running().filter(isMine).length;
  for (let waitedMs = 0; waitedMs < runsBefore.withinMs; waitedMs += runsBefore.lookMs) {
    if (count() >= runsBefore.count) return;
    await sleep(runsBefore.lookMs);
  }
  if (count() >= runsBefore.leastCount) return;
  throw new Error(`nothing runs on ${agentId ?? "any agent"}, so its upgrade could disturb nothing`);
}
