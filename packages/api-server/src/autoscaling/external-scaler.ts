// KEDA's external scaler: how many hosts with agents the cluster needs, from what the schedulers say of themselves. KEDA
// divides the value by the slots of one agent and asks for so many replicas; it decides how fast, and between which bounds.
import { type Coordinator, readSlots, withDeadlines } from "@sluice/coordination";
import { type Clock, invalid } from "@sluice/core";
import type { Api, ExternalScalerService, ScaledObjectRef } from "@sluice/protocol";
import type { Store } from "@sluice/store";

export interface ExternalScalerDeps {
  readonly clock: Clock;
  readonly coordinator: Coordinator;
  readonly store: Pick<Store, "agents">;
}

const metricName = "sluice_agent_slots_wanted";
/** Of an agent, where neither the trigger nor an agent says it. */
const slotsPerAgentDefault = 64;
/** KEDA asks every few seconds for each ScaledObject; many of them share one look. */
const lookEveryMs = 1_000;
const callDeadlineMs = 1_500;

interface Needs {
  readonly wanted: number;
  readonly running: number;
}

/** What the `metadata` of a trigger may say; all of it is optional. */
interface Wishes {
  /** Attempts that one replica is for. Default: the mean of the agents' slots; before the first agent, 64. */
  readonly slotsPerAgent: number | undefined;
  /** So much more than is needed, in percent, so that a burst finds room. Default 0. */
  readonly headroomPercent: number;
}

/** Nothing that it answers is a secret of an account: it has no authentication of its own but that of the connection. */
export function createExternalScaler(deps: ExternalScalerDeps): Api<typeof ExternalScalerService> {
  const { clock, store } = deps;
  const coordinator = withDeadlines(deps.coordinator, { clock, deadlineMs: callDeadlineMs });
  let last: { readonly at: number; readonly needs: Promise<Needs> } | undefined;

  /** Rejects when the coordinator does not answer: KEDA then leaves everything as it is. */
  function look(): Promise<Needs> {
    const now = clock.monotonic();
    if (last && now - last.at < lookEveryMs) return last.needs;
    const needs = readNeeds();
    last = { at: now, needs };
    needs.catch(() => {
      if (last?.needs === needs) last = undefined;
    });
    return needs;
  }

  async function readNeeds(): Promise<Needs> {
    const reports = await readSlots(coordinator);
    const sum = (of: "wanted" | "running") => reports.reduce((total, report) => total + report[of], 0);
    return { wanted: sum("wanted"), running: sum("running") };
  }

  async function slotsPerAgent({ slotsPerAgent }: Wishes): Promise<number> {
    if (slotsPerAgent !== undefined) return slotsPerAgent;
    const agents = await store.agents.list();
    if (agents.length === 0) return slotsPerAgentDefault;
    return Math.max(1, agents.reduce((total, { slots }) => total + slots, 0) / agents.length);
  }

  const isActive = ({ wanted, running }: Needs) => wanted > 0 || running > 0;

  return {
    async isActive(object) {
      wishesOf(object);
      return { result: isActive(await look()) };
    },
    async *streamIsActive(object, { signal }) {
      wishesOf(object);
      let told: boolean | undefined;
      while (!signal.aborted) {
        const result = isActive(await look());
        if (result !== told) yield { result };
        told = result;
        await clock.sleep(lookEveryMs, signal);
      }
    },
    async getMetricSpec(object) {
      const target = await slotsPerAgent(wishesOf(object));
      return { metricSpecs: [{ metricName, targetSize: Math.ceil(target), targetSizeFloat: target }] };
    },
    async getMetrics({ scaledObjectRef, metricName: asked }) {
      if (asked !== "" && asked !== metricName) {
        throw invalid("UNKNOWN_METRIC", "metricName", `there is one metric, ${metricName}, not ${asked}`);
      }
      const { headroomPercent } = wishesOf(scaledObjectRef);
      const { wanted, running } = await look();
      const value = Math.max(wanted, running) * (1 + headroomPercent / 100);
      return { metricValues: [{ metricName, metricValue: Math.ceil(value), metricValueFloat: value }] };
    },
  };
}

function wishesOf(object: ScaledObjectRef | undefined): Wishes {
  const metadata = object?.scalerMetadata ?? {};
  return {
    slotsPerAgent: numberIn(metadata, "slotsPerAgent", { min: 1, max: 1_000_000 }),
    headroomPercent: numberIn(metadata, "headroomPercent", { min: 0, max: 1_000 }) ?? 0,
  };
}

function numberIn(
  metadata: Readonly<Record<string, string>>,
  name: string,
  { min, max }: { readonly min: number; readonly max: number },
): number | undefined {
  const text = metadata[name];
  if (text === undefined || text === "") return undefined;
  const value = Number(text);
  if (Number.isFinite(value) && value >= min && value <= max) return value;
  throw invalid("INVALID_SCALER_METADATA", name, `${name} is a number from ${min} to ${max}, not "${text}"`);
}
