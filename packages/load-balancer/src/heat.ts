// How hot each partition is, and for how long, from what the owners report. Pure: the tracker in, a new one out.
//
//   quiet ──▶ busy ──▶ hot        hot: over a threshold; quiet: under 30 % of every one. Between them nothing begins, so that
//     ◀────── ◀──────            a load that is constant decides once, and not again and again.
//
// Only what is ready makes it busy or hot: what a limit, an adaptive window or a pause holds back would wait as long with another
// owner, or with two. And a move would cost it a gap and what is known of its rate: so it is not quiet either.
import { type LoadReport, type PartitionLoad, readyOf, type Wish } from "@sluice/coordination";
import { partitionKey } from "@sluice/core";

/** Thresholds. Durations in ms. */
export interface HeatConfig {
  /** Hot: the oldest waiting task that is ready is older. Default 10 s. */
  readonly backlogAgeMaxMs: number;
  /** Hot as well: what is ready takes longer than this at the rate at which it is dispatched. Default 10 s. */
  readonly drainMaxMs: number;
  /** …and is more than this. Default 1,000. */
  readonly waitingMin: number;
  /** Quiet: below this share of every threshold, by everything that waits. Default 0.3. */
  readonly deadBand: number;
}
export const defaultHeatConfig: HeatConfig = {
  backlogAgeMaxMs: 10_000,
  drainMaxMs: 10_000,
  waitingMin: 1_000,
  deadBand: 0.3,
};

/**
 * Held back: quiet, if it were not for what waits and is not ready. Not known: its owner has not reported it, because it has just taken
 * over, or has more than it may name.
 */
export type Heat = "quiet" | "held back" | "busy" | "hot" | "unknown";

export interface PartitionHeat {
  readonly heat: Heat;
  /** When it became so, monotonic. */
  readonly since: number;
  /** As reported last, of what is ready. */
  readonly load: Pick<PartitionLoad, "waiting" | "backlogAgeMs" | "dispatchedPerSecond">;
}

/** By the key of the partition. */
export type Heats = ReadonlyMap<string, PartitionHeat>;

export interface HeatInput {
  readonly wishes: readonly Wish[];
  readonly reports: readonly LoadReport[];
  /** Monotonic. */
  readonly now: number;
}

/** The heat of every wished partition. What its owner does not name is idle; what somebody else says of it does not count. */
export function followHeat(
  before: Heats,
  { wishes, reports, now }: HeatInput,
  config: HeatConfig = defaultHeatConfig,
): Heats {
  const reportOf = new Map(reports.map((report) => [report.memberId, report]));
  const loads = new Map(
    reports.flatMap(({ memberId, partitions }) =>
      partitions.map((load) => [`${memberId} ${partitionKey(load)}`, load] as const),
    ),
  );
  const heats = new Map<string, PartitionHeat>();
  for (const { queue, partitions } of wishes) {
    for (const { prefix, ownerId } of partitions) {
      const key = partitionKey({ queue, prefix });
      const load = loads.get(`${ownerId} ${key}`);
      const isIdle = load === undefined && reportOf.get(ownerId)?.isCut === false;
      const heat = load !== undefined ? heatOf(load, config) : isIdle ? "quiet" : "unknown";
      const known = before.get(key);
      heats.set(key, {
        heat,
        since: known?.heat === heat ? known.since : now,
        load: load ? readyLoad(load) : idleLoad,
      });
    }
  }
  return heats;
}

/** Of a partition of which nothing is known. */
export const idleLoad = { waiting: 0, backlogAgeMs: 0, dispatchedPerSecond: 0 };

function readyLoad(load: PartitionLoad): PartitionHeat["load"] {
  const { waiting, ageMs } = readyOf(load);
  return { waiting, backlogAgeMs: ageMs, dispatchedPerSecond: load.dispatchedPerSecond };
}

function heatOf(load: PartitionLoad, config: HeatConfig): Heat {
  const ready = shareOf(readyLoad(load), config);
  if (ready > 1) return "hot";
  if (ready >= config.deadBand) return "busy";
  return shareOf(load, config) < config.deadBand ? "quiet" : "held back";
}

/** Of the threshold that it is nearest to. */
function shareOf({ waiting, backlogAgeMs, dispatchedPerSecond }: PartitionHeat["load"], config: HeatConfig): number {
  const waitingMax = Math.max(config.waitingMin, (dispatchedPerSecond * config.drainMaxMs) / 1_000);
  return Math.max(backlogAgeMs / config.backlogAgeMaxMs, waiting / waitingMax);
}
