import type { Clock } from "@sluice/core";
import type { AgentStatus, MakeRoom } from "@sluice/protocol";
import { ShareRefusals } from "./share-refusals.ts";

/** For whom room is asked. */
export type RoomWanted = Pick<MakeRoom, "lane" | "accountId" | "functionName" | "priority" | "memoryMb">;

/** For room an agent is asked once in this time, by all partitions together. */
const questionEveryMs = 100;

/** What an agent has room for, as it has said last, and as this scheduler has used of it since. */
export class AgentRoom {
  slots: number;
  /** Attempts that it had of all schedulers when it last told. */
  slotsUsed = 0;
  /** Instances that it runs at the same time; unbounded until it has told. */
  instancesMax = Number.POSITIVE_INFINITY;
  /** MiB of memory that they may take together; the same. */
  memoryMaxMb = Number.POSITIVE_INFINITY;
  draining = false;
  /** Its incarnation is not renewed any more: soon it kills what it has. */
  fenced = false;
  /** Attempts of all schedulers that it may stop for urgent ones, by their priority; empty: it stops none. */
  preemptible: readonly number[] = [];
  /** Accounts for which it makes no room now. */
  readonly shareRefusals: ShareRefusals;
  warm: ReadonlySet<number> = new Set();
  /** Attempts of a warm revision that it had of this scheduler when it said so. */
  readonly usedWhenWarm = new Map<number, number>();
  /** Attempts of this scheduler that the agent has; kept by the partitions. */
  used = 0;
  /** The same per revision of a function. */
  readonly usedOfRevision = new Map<number, number>();
  /** Monotonic; 0: not paused. */
  protected pausedUntil = 0;
  #usedElsewhere = 0;
  #lastQuestion = 0;
  #askedAt = Number.NEGATIVE_INFINITY;
  /** Attempts that this scheduler may have there, its own included; undefined: an agent of an older release, which does not say. */
  #offered: number | undefined;
  readonly #clock: Clock;

  constructor(clock: Clock, slots: number) {
    this.#clock = clock;
    this.shareRefusals = new ShareRefusals(clock);
    this.slots = slots;
  }

  /** Attempts that it may be given now. */
  get free(): number {
    if (this.draining || this.fenced || (this.pausedUntil > 0 && this.#clock.monotonic() < this.pausedUntil)) return 0;
    return Math.max(0, (this.#offered ?? this.slots - this.#usedElsewhere) - this.used);
  }

  /** Whether it may be asked for room now. */
  get mayBeAskedForRoom(): boolean {
    return this.#clock.monotonic() - this.#askedAt >= questionEveryMs;
  }

  /** The number of a question for room that is asked now; undefined: one was asked a moment ago. */
  protected nextQuestion(): number | undefined {
    if (!this.mayBeAskedForRoom) return undefined;
    this.#askedAt = this.#clock.monotonic();
    return ++this.#lastQuestion;
  }

  protected followStatus(status: AgentStatus): void {
    this.slots = status.slots;
    this.slotsUsed = status.slotsUsed;
    if (status.instancesMax > 0) this.instancesMax = status.instancesMax;
    if (status.memoryMaxMb > 0) this.memoryMaxMb = status.memoryMaxMb;
    this.#offered = status.slotsOffered;
    this.#usedElsewhere = Math.max(0, status.slotsUsed - this.used);
    this.draining = status.draining;
    this.preemptible = status.preemptible;
    this.warm = new Set(status.warmRevisions);
    this.usedWhenWarm.clear();
    for (const revision of status.warmRevisions) {
      const used = this.usedOfRevision.get(revision);
      if (used !== undefined) this.usedWhenWarm.set(revision, used);
    }
  }
}
