// Loop: tells the load-balancer, and operators, how busy the partitions are. Under the lease, so that it goes with the member;
// seldom, because a number that is a little old decides nothing else: at most every two seconds, and only when it says
// something new.
import {
  type Coordinator,
  type FlowLoad,
  type LoadReport,
  type Membership,
  readyOf,
  reportedPartitionsMax,
  writeLoads,
} from "@sluice/coordination";
import { AppError, type Clock, flowKey, type Loop, type OwnedPartition, partitionKey } from "@sluice/core";
import type { Logger } from "@sluice/runtime";
import type { Partition } from "./partition/partition.ts";

export interface ReportLoadsDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly coordinator: Coordinator;
  readonly membership: Membership;
  /** Owned now. */
  readonly partitions: () => readonly Pick<Partition, "owner" | "dispatched" | "backlog">[];
  /** What is to be said of flows since it was asked last. Default: nothing. */
  readonly flows?: () => readonly FlowLoad[];
  /** How busy its thread is, 0 to 1, since it was asked last. Default: it does not say. */
  readonly busy?: () => number | undefined;
}

const everyMs = 2_000;
/** Of the newest measurement in the rate that is reported. */
const newShare = 0.5;
/** A partition that dispatches less, and in which nothing waits, is left out. */
const idlePerSecond = 0.5;
/** Smaller changes of how busy the thread is are not worth a write. */
const busyStep = 0.05;

export function reportLoadsLoop(deps: ReportLoadsDeps): Loop {
  const { clock, coordinator, membership, log } = deps;
  const meter = createMeter(clock);
  return async (signal) => {
    let said: { readonly report: LoadReport; readonly leaseId: string } | undefined;
    while (!signal.aborted) {
      const flows = deps.flows?.() ?? [];
      const busy = reportOf(membership.id, meter.measure(deps.partitions()));
      const share = deps.busy?.();
      const report = {
        ...busy,
        ...(flows.length > 0 && { flows }),
        ...(share !== undefined && { busy: Math.round(share * 100) / 100 }),
      };
      const { lease } = membership;
      const isNew = said === undefined || said.leaseId !== lease?.id || saysMore(report, said.report);
      if (lease !== undefined && membership.isTrusted() && isNew) {
        try {
          await writeLoads(coordinator, report, lease);
          said = { report, leaseId: lease.id };
        } catch (cause) {
          if (!(cause instanceof AppError)) throw cause;
          said = undefined;
          log.debug("cannot report loads", { reason: cause.reason });
        }
      }
      await clock.sleep(everyMs, signal);
    }
  };
}

type Load = LoadReport["partitions"][number];

/** Rates, from counts that only grow. A partition that was just taken over starts at 0. */
function createMeter(clock: Clock) {
  let before = new Map<string, { readonly dispatched: number; readonly perSecond: number }>();
  let measuredAt = clock.monotonic();
  return {
    measure(partitions: ReturnType<ReportLoadsDeps["partitions"]>): Load[] {
      const now = clock.monotonic();
      const seconds = (now - measuredAt) / 1_000;
      measuredAt = now;
      const after: typeof before = new Map();
      const loads = partitions.map((partition): Load => {
        const { owner, dispatched } = partition;
        const key = nameOf(owner);
        const known = before.get(key) ?? { dispatched: 0, perSecond: 0 };
        const perSecondNow = seconds > 0 ? (dispatched - known.dispatched) / seconds : 0;
        const perSecond = known.perSecond * (1 - newShare) + perSecondNow * newShare;
        after.set(key, { dispatched, perSecond });
        const { waiting, parked, ageMs, ready } = partition.backlog();
        const isHeldBack = ready.waiting < waiting || ready.ageMs < ageMs;
        const { queue, prefix } = owner;
        const dispatchedPerSecond = Math.round(perSecond * 10) / 10;
        const load = { queue, prefix, waiting, backlogAgeMs: ageMs, dispatchedPerSecond };
        return { ...load, ...(parked > 0 && { parked }), ...(isHeldBack && { ready }) };
      });
      before = after;
      return loads;
    },
  };
}

/** Another ownership of the same lanes counts from 0. */
function nameOf(owner: OwnedPartition): string {
  return `${partitionKey(owner)} ${owner.epoch}`;
}

function reportOf(memberId: string, loads: readonly Load[]): LoadReport {
  const busy = loads.filter(({ waiting, dispatchedPerSecond }) => waiting > 0 || dispatchedPerSecond >= idlePerSecond);
  const busiest = [...busy].sort(
    (a, b) =>
      readyOf(b).ageMs - readyOf(a).ageMs ||
      b.backlogAgeMs - a.backlogAgeMs ||
      b.waiting - a.waiting ||
      b.dispatchedPerSecond - a.dispatchedPerSecond ||
      (partitionKey(a) < partitionKey(b) ? -1 : 1),
  );
  const isCut = busiest.length > reportedPartitionsMax;
  return { memberId, partitions: busiest.slice(0, reportedPartitionsMax), isCut };
}

/** Whether other partitions are named, or a number has changed by more than a fifth. */
function saysMore(now: LoadReport, said: LoadReport): boolean {
  if (Math.abs((now.busy ?? 0) - (said.busy ?? 0)) >= busyStep) return true;
  if (now.isCut !== said.isCut || now.partitions.length !== said.partitions.length) return true;
  if (saysMoreOfFlows(now.flows ?? [], said.flows ?? [])) return true;
  const before = new Map(said.partitions.map((load) => [partitionKey(load), load]));
  return now.partitions.some((load) => {
    const old = before.get(partitionKey(load));
    return (
      old === undefined ||
      isOther(load.waiting, old.waiting, 10) ||
      isOther(load.backlogAgeMs, old.backlogAgeMs, 500) ||
      isOther(readyOf(load).waiting, readyOf(old).waiting, 10) ||
      isOther(readyOf(load).ageMs, readyOf(old).ageMs, 500) ||
      isOther(load.dispatchedPerSecond, old.dispatchedPerSecond, 5)
    );
  });
}

function saysMoreOfFlows(now: readonly FlowLoad[], said: readonly FlowLoad[]): boolean {
  const before = new Map(said.map((load) => [flowKey(load), load]));
  return (
    now.length !== said.length ||
    now.some((load) => {
      const old = before.get(flowKey(load));
      return (
        old === undefined ||
        old.asksFor !== load.asksFor ||
        isOther(load.waiting, old.waiting, 1_000) ||
        isOther(load.dispatchedPerSecond, old.dispatchedPerSecond, 100)
      );
    })
  );
}

/** `least`: changes that are smaller never count. */
function isOther(now: number, before: number, least: number): boolean {
  return Math.abs(now - before) > Math.max(least, before * 0.2);
}
