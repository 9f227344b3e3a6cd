import type { Clock } from "@sluice/core";
import type { AgentStatus } from "@sluice/protocol";

export interface StatusReportsParts {
  readonly clock: Clock;
  readonly everyMs: number;
  status(): AgentStatus;
  /** How many owners send attempts now. */
  owners(): number;
  /** Sends the status to every owner. */
  broadcast(): void;
}

/** Tells owners what the agent has room for when that has changed noticeably, `everyMs` at most. */
export class StatusReports {
  readonly #parts: StatusReportsParts;
  #told: AgentStatus | undefined;
  #toldOwners = 0;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #cancelTimer: (() => void) | undefined;

  constructor(parts: StatusReportsParts) {
    this.#parts = parts;
  }

  /** Something may have changed. Cheap: called for every attempt. */
  changed(): void {
    if (this.#cancelTimer) return;
    const { clock, everyMs } = this.#parts;
    const waitMs = this.#lookedAt + everyMs - clock.monotonic();
    if (waitMs <= 0) this.#look();
    else this.#cancelTimer = clock.timer(waitMs, () => this.#look());
  }

  stop(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  #look(): void {
    this.stop();
    this.#lookedAt = this.#parts.clock.monotonic();
    const status = this.#parts.status();
    const owners = this.#parts.owners();
    if (this.#told && owners === this.#toldOwners && !isNoticeable(this.#told, status)) return;
    this.#told = status;
    this.#toldOwners = owners;
    this.#parts.broadcast();
  }
}

/** A tenth of the slots, full or not, idle or not, draining or not, how many slots, which functions are warm, who may be stopped. */
function isNoticeable(before: AgentStatus, after: AgentStatus): boolean {
  const step = Math.max(1, Math.floor(after.slots / 10));
  return (
    before.draining !== after.draining ||
    before.slots !== after.slots ||
    Math.abs(before.slotsUsed - after.slotsUsed) >= step ||
    before.slotsUsed >= before.slots !== after.slotsUsed >= after.slots ||
    (before.slotsUsed === 0) !== (after.slotsUsed === 0) ||
    before.preemptible.map(Boolean).join() !== after.preemptible.map(Boolean).join() ||
    before.warmRevisions.join() !== after.warmRevisions.join()
  );
}
