// Loop: how many slots of agents this scheduler could use, for whoever starts and stops hosts. A sum over the schedulers is
// what the cluster needs: as a metric, and in etcd under the lease, where api-servers read it for KEDA. What there is (total
// and free) is told by the leader alone, because every scheduler sees every agent.
import { type Coordinator, type Membership, writeSlots } from "@sluice/coordination";
import { AppError, type Clock, type Loop } from "@sluice/core";
import type { Logger } from "@sluice/runtime";
import type { AgentLink } from "./agents/link.ts";
import type { SchedulerMetrics } from "./metrics.ts";
import type { Demand } from "./partition/demand.ts";

export interface ReportSlotsDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: SchedulerMetrics;
  readonly coordinator: Coordinator;
  readonly membership: Membership;
  /** Of each partition that is owned now. */
  readonly demands: () => readonly Demand[];
  readonly isLeading: () => boolean;
  readonly links: () => readonly Pick<AgentLink, "slots" | "slotsUsed" | "draining" | "fenced" | "isOpen">[];
}

const everyMs = 2_000;
/** A burst is believed soon, half of it every 2 s; */
const riseShare = 0.5;
/** and its end late, half of it in 13 s: hosts take long to start. */
const fallShare = 0.1;
/** A small change that lasts is a host more or less; one that does not is jitter, and not worth a write. */
const lastsMs = 10_000;

interface Said {
  readonly wanted: number;
  readonly running: number;
  readonly leaseId: string;
}

export function reportSlotsLoop(deps: ReportSlotsDeps): Loop {
  const { clock, log, metrics, coordinator, membership } = deps;
  return async (signal) => {
    let smoothed = 0;
    let said: Said | undefined;
    /** Since when something else is wanted than was said, monotonic. */
    let otherSince: number | undefined;
    while (!signal.aborted) {
      const demands = deps.demands();
      smoothed = smooth(
        smoothed,
        demands.reduce((sum, { wanted }) => sum + wanted, 0),
      );
      const wanted = Math.ceil(smoothed);
      const running = demands.reduce((sum, demand) => sum + demand.running, 0);
      metrics.slotsWanted.set(wanted);
      tellWhatThereIs(deps);
      const { lease } = membership;
      const now = clock.monotonic();
      otherSince = wanted === said?.wanted ? undefined : (otherSince ?? now);
      const isNew =
        said === undefined ||
        said.leaseId !== lease?.id ||
        isFarFrom(wanted, said.wanted) ||
        (otherSince !== undefined && now - otherSince >= lastsMs) ||
        (running === 0) !== (said.running === 0);
      if (lease !== undefined && membership.isTrusted() && isNew) {
        try {
          await writeSlots(coordinator, { memberId: membership.id, wanted, running }, lease);
          said = { wanted, running, leaseId: lease.id };
          otherSince = undefined;
        } catch (cause) {
          if (!(cause instanceof AppError)) throw cause;
          said = undefined;
          log.debug("cannot report slots", { reason: cause.reason });
        }
      }
      await clock.sleep(everyMs, signal);
    }
  };
}

/** @returns slots, of which the fraction counts as one more. */
export function smooth(before: number, now: number): number {
  const smoothed = before + (now > before ? riseShare : fallShare) * (now - before);
  // Else it would never become 0, and never what it is.
  return Math.abs(smoothed - now) < 0.5 ? now : smoothed;
}

function tellWhatThereIs({ metrics, isLeading, links }: ReportSlotsDeps): void {
  const open = isLeading() ? links().filter((link) => link.isOpen && !link.draining && !link.fenced) : [];
  metrics.slotsTotal.set(open.reduce((sum, { slots }) => sum + slots, 0));
  metrics.slotsFree.set(open.reduce((sum, { slots, slotsUsed }) => sum + Math.max(0, slots - slotsUsed), 0));
}

/** By more than a tenth, or to or from 0: that is told at once. */
function isFarFrom(now: number, before: number): boolean {
  return Math.abs(now - before) > before * 0.1 || (now === 0) !== (before === 0);
}
