// The gate: every decision of the protocol between owners and the agent, without time, I/O or callbacks.
//
//   closed ──open (registered)──▶ open ──drain──▶ draining ──close──▶ shut
//                                  └──────────close (fenced)──────────▲
//
//   an attempt:  unknown ──dispatch──▶ running ──end──▶ ended ──confirm──▶ remembered (by number)
//                   └──stop, or lost with the last incarnation──▲
//
// Each rule protects an invariant of the design (`README.md`, "The gate's rules"); each has a test that fails without it.
import type { Epoch, EpochMs } from "@sluice/core";
import {
  type AgentStatus,
  type AskFlows,
  type AttachPartitions,
  type AttemptOutcome,
  type AttemptRef,
  type AttemptRefused,
  type ConfirmAttempts,
  type DispatchAttempt,
  type DispatchAttempts,
  type FlowAnswer,
  type FlowQuestion,
  type MakeRoom,
  type QueueFloors,
  RefusalReason,
  type RefusedPartition,
  type StopAttempts,
} from "@sluice/protocol";
import type { Recovered } from "../journal.ts";
import { type Attempt, newAttempt, type Stoppable } from "./attempt.ts";
import { type DedupeLimits, DedupeTable } from "./dedupe-table.ts";
import { FlowFloors, type FlowName } from "./flow-floors.ts";
import { Lanes, type Origin } from "./lanes.ts";
import { lowestPriority, type Room, Rooms } from "./rooms.ts";

export interface GateConfig extends DedupeLimits {
  /** Attempts that run at the same time. */
  readonly slots: number;
  /** Instances that run at the same time; only told. */
  readonly instancesMax: number;
  /** The clock of this process, in ms. */
  readonly monotonic: () => number;
}

/** What a new incarnation starts with. */
export interface Opening {
  readonly incarnation: number;
  /** Read after the registration was committed. */
  readonly floors: readonly QueueFloors[];
  /** Attempts of the last incarnation on this host that nobody confirmed; without an outcome they were lost with it. */
  readonly recovered: readonly Recovered[];
  readonly lostOutcome: AttemptOutcome;
}

export interface AttachVerdict {
  /** False: another incarnation is meant; nothing was attached. */
  readonly isMeant: boolean;
  readonly refused: readonly RefusedPartition[];
  /** Every attempt of the attached lanes, in order of acceptance. */
  readonly inventory: readonly Attempt[];
}

export interface DispatchContext {
  readonly now: EpochMs;
  /** Whether the spec of a revision was sent. */
  knowsFunction(revision: number): boolean;
  /** Of a revision that was sent; undefined: of none. */
  flowOf?(revision: number): (FlowName & { readonly memoryMb?: number }) | undefined;
  /** The host has too little memory left: nothing is started. */
  readonly isShortOfMemory?: boolean;
}

export interface DispatchVerdict {
  /** To be started now. */
  readonly accepted: readonly { readonly attempt: Attempt; readonly order: DispatchAttempt }[];
  /** Ended already: to be answered again. */
  readonly ended: readonly Attempt[];
  readonly refused: readonly AttemptRefused[];
}

export interface StopVerdict {
  readonly running: readonly Attempt[];
  /** Ended already, or will never start: to be answered. */
  readonly ended: readonly Attempt[];
}

type DispatchDecision = "start" | { readonly known: Attempt } | { readonly refusal: RefusalReason };

export class Gate {
  readonly #config: GateConfig;
  readonly #lanes = new Lanes();
  readonly #table: DedupeTable;
  readonly #flows: FlowFloors;
  readonly #rooms: Rooms;
  #state: "closed" | "open" | "draining" | "shut" = "closed";
  #incarnation = 0;

  constructor(config: GateConfig) {
    this.#config = config;
    this.#table = new DedupeTable(config);
    this.#flows = new FlowFloors(config.monotonic);
    this.#rooms = new Rooms(config.slots);
  }

  open({ incarnation, floors, recovered, lostOutcome }: Opening): void {
    this.#incarnation = incarnation;
    for (const { queue, floors: lanes } of floors) this.#lanes.raise(queue, lanes);
    for (const { ref, outcome = lostOutcome } of recovered) {
      if (!this.#table.find(ref.seq, ref.attempt))
        this.#table.add({ ...newAttempt(ref), outcome, recovered: true, isSent: false });
    }
    this.#state = "open";
  }

  /** No new attempts; running ones go on. */
  drain(): void {
    if (this.#state === "open") this.#state = "draining";
  }

  /** Nothing is accepted or reported any more. */
  close(): void {
    this.#state = "shut";
  }

  get incarnation(): number {
    return this.#incarnation;
  }
  get isShut(): boolean {
    return this.#state === "shut";
  }
  get runningCount(): number {
    return this.#table.runningCount;
  }
  /** Attempts that run, or ended and are not confirmed. */
  get count(): number {
    return this.#table.count;
  }
  /** Bytes of outcomes that are not confirmed. */
  get bytes(): number {
    return this.#table.bytes;
  }

  /** A slot that is kept for somebody counts as used. */
  status(): Pick<AgentStatus, "slots" | "slotsUsed" | "instancesMax" | "draining" | "preemptible"> {
    const { slots, instancesMax } = this.#config;
    const slotsUsed = this.#table.runningCount + this.#rooms.keptCount;
    const preemptible = this.#state === "open" ? this.#rooms.stoppableOf(this.#table) : [];
    return { slots, instancesMax, slotsUsed, draining: this.#state !== "open", preemptible };
  }

  /** Attempts that run, by the stream that they are reported to. */
  usedByStream(): ReadonlyMap<number, number> {
    const used = new Map<number, number>();
    for (const { ref, outcome } of this.#table) {
      const streamId = outcome ? undefined : this.#lanes.reporterOf(ref)?.streamId;
      if (streamId !== undefined) used.set(streamId, (used.get(streamId) ?? 0) + 1);
    }
    return used;
  }

  attach(frame: AttachPartitions, streamId: number): AttachVerdict {
    if (!this.#isMeant(frame.incarnation)) return { isMeant: false, refused: [], inventory: [] };
    const origin: Origin = { streamId, session: frame.session };
    const refused: RefusedPartition[] = [];
    for (const partition of frame.partitions) {
      const floor = this.#lanes.attach(partition, origin);
      if (floor !== undefined) refused.push({ partition, floor });
    }
    const inventory = [...this.#table].filter(({ ref }) => {
      const reporter = this.#lanes.reporterOf(ref);
      return reporter?.streamId === streamId && reporter.session === frame.session;
    });
    return { isMeant: true, refused, inventory };
  }

  /** Decides on each attempt of the frame; those that are accepted run from now on. */
  dispatch(frame: DispatchAttempts, streamId: number, context: DispatchContext): DispatchVerdict {
    const origin: Origin = { streamId, session: frame.session };
    const accepted: { attempt: Attempt; order: DispatchAttempt }[] = [];
    const ended: Attempt[] = [];
    const refused: AttemptRefused[] = [];
    for (const order of frame.attempts) {
      const decision = this.#isMeant(frame.incarnation)
        ? this.#decide(order, origin, context)
        : { refusal: RefusalReason.INCARNATION };
      if (decision === "start") {
        const flow = context.flowOf?.(order.functionRevision);
        const attempt = newAttempt(order, flow, stoppableOf(order, flow?.memoryMb));
        this.#rooms.take(streamId, flow, order.priority);
        this.#table.add(attempt);
        accepted.push({ attempt, order });
      } else if ("refusal" in decision) {
        refused.push({ ref: newAttempt(order).ref, reason: decision.refusal });
      } else if (decision.known.outcome) {
        ended.push(decision.known);
      }
    }
    return { accepted, ended, refused };
  }

  #decide(order: DispatchAttempt, origin: Origin, context: DispatchContext): DispatchDecision {
    const { now, knowsFunction, isShortOfMemory = false } = context;
    if (!this.#lanes.isAttachedTo(order, order.epoch, origin)) return { refusal: RefusalReason.STALE };
    const known = this.#table.find(order.seq, order.attempt);
    if (known) {
      known.isSent = true;
      // Its row has gone to another lane since, unseen by who moved it: the attempt was in our journal.
      if (!isSameLane(known.ref, order)) Object.assign(known, { left: known.ref, ref: newAttempt(order).ref });
      return { known };
    }
    if (this.#table.isOutdated(order.seq, order.attempt)) return { refusal: RefusalReason.STALE };
    if (this.#state !== "open") return { refusal: RefusalReason.DRAINING };
    if (order.expiresAtMs > 0 && now >= order.expiresAtMs) return { refusal: RefusalReason.EXPIRED };
    if (!knowsFunction(order.functionRevision)) return { refusal: RefusalReason.UNKNOWN_FUNCTION };
    const flow = context.flowOf?.(order.functionRevision);
    if (flow && this.#flows.refuses(flow, order)) return { refusal: RefusalReason.LIMITS };
    const keptForOthers =
      this.#rooms.keptCount - (this.#rooms.isKeptFor(origin.streamId, flow, order.priority) ? 1 : 0);
    if (this.#table.runningCount + keptForOthers >= this.#config.slots || this.#table.isFull || isShortOfMemory)
      return { refusal: RefusalReason.BUSY };
    // No owner should ask for it; if one does, its task must at least not run twice here.
    if (this.#table.isRunning(order.seq)) return { refusal: RefusalReason.BUSY };
    return "start";
  }

  /**
   * What runs of limited flows outside their lanes. Afterwards nothing more of it can begin: attempts that were dispatched by
   * older limits are refused. Undefined: another incarnation is meant.
   */
  askFlows(frame: AskFlows): readonly FlowAnswer[] | undefined {
    if (!this.#isMeant(frame.incarnation)) return undefined;
    for (const question of frame.flows) this.#flows.raise(question);
    return frame.flows.map((question) => ({ question, runningElsewhere: this.#countElsewhere(question) }));
  }

  #countElsewhere({ accountId, functionName, queue, lane }: FlowQuestion): number {
    let count = 0;
    for (const { flow, ref, outcome } of this.#table) {
      if (outcome !== undefined || flow?.accountId !== accountId) continue;
      if (functionName !== "" && flow.functionName !== functionName) continue;
      if (ref.queue !== queue || ref.lane !== lane) count++;
    }
    return count;
  }

  /**
   * Room for an urgent task: an attempt to stop, or a slot that is free and kept from now on. `none`: nobody may be stopped, or
   * enough are; `share`: nobody may be for this account. Undefined: the question is not from the owner of the lane.
   */
  makeRoom(frame: MakeRoom, streamId: number): Room | "none" | "share" | undefined {
    const origin: Origin = { streamId, session: frame.session };
    if (!this.#isMeant(frame.incarnation) || !this.#lanes.isAttachedTo(frame, frame.epoch, origin)) return undefined;
    if (this.#state !== "open" || this.#table.isFull) return "none";
    const isFree = this.#table.runningCount + this.#rooms.keptCount < this.#config.slots;
    const isHeard = ({ ref }: Attempt) => this.#lanes.reporterOf(ref) !== undefined;
    return this.#rooms.open(frame, { streamId, isFree, attempts: this.#table, isHeard });
  }

  /**
   * What to stop so that one of these instances ends, for an attempt of that priority that waits for a place; undefined: none of
   * them runs only one attempt, which may be stopped for it.
   */
  lastIn(instanceIds: readonly string[], waiting: Attempt, priority: number): Attempt | undefined {
    return this.#rooms.lastIn(instanceIds, { waiting, priority }, this.#table);
  }

  /** The room is anybody's. */
  release(room: Room): void {
    this.#rooms.release(room);
  }

  /** Takes back what was accepted and could not be started. */
  takeBack(attempt: Attempt): void {
    this.#table.remove(attempt);
  }

  /** The attempt has ended. False: it is too late, nobody may hear of it. */
  end(attempt: Attempt, outcome: AttemptOutcome): boolean {
    if (this.isShut) return false;
    this.#table.end(attempt, outcome);
    this.#rooms.ended(attempt);
    return true;
  }

  /**
   * What an owner asks to stop. An attempt that is not known was never started: its dispatch was lost, or is still to come
   * and then finds it ended.
   */
  stop(frame: StopAttempts, streamId: number, outcome: AttemptOutcome): StopVerdict {
    const origin: Origin = { streamId, session: frame.session };
    const running: Attempt[] = [];
    const ended: Attempt[] = [];
    if (!this.#isMeant(frame.incarnation)) return { running, ended };
    for (const ref of frame.attempts) {
      const known = this.#table.find(ref.seq, ref.attempt);
      if (!this.#lanes.isAttachedTo(known?.ref ?? ref, frame.epoch, origin)) continue;
      const attempt = known ?? this.#rememberStop(ref, outcome);
      if (attempt) (attempt.outcome ? ended : running).push(attempt);
    }
    return { running, ended };
  }

  #rememberStop(ref: AttemptRef, outcome: AttemptOutcome): Attempt | undefined {
    // A table that is full of stops does not answer: the owner asks again.
    if (this.#table.isOutdated(ref.seq, ref.attempt) || this.#table.count >= 2 * this.#config.entriesMax)
      return undefined;
    const attempt = { ...newAttempt(ref), outcome };
    this.#table.add(attempt);
    return attempt;
  }

  /**
   * Forgets the outcomes that the store has; returns which. A confirmation states a fact of the store, so it counts from
   * any session; but not from below the floor, whose owner may have seen an older store, nor from a lane that the row has left:
   * there it only means that the row is gone. So it may for what nobody has sent to this incarnation: it may still be sent.
   */
  confirm(frame: ConfirmAttempts): Attempt[] {
    if (!this.#isMeant(frame.incarnation)) return [];
    return frame.attempts.flatMap((ref) => {
      const attempt = this.#table.find(ref.seq, ref.attempt);
      if (!attempt?.outcome || (attempt.left && isSameLane(attempt.left, ref))) return [];
      if (frame.epoch < this.#floorFor(attempt, ref)) return [];
      this.#table.confirm(attempt);
      return [attempt];
    });
  }

  /** Of the lane that a confirmation names, and of the attempt's: epochs of one queue can be compared. */
  #floorFor({ ref }: Attempt, { queue, lane }: AttemptRef): Epoch {
    const named = this.#lanes.floorOf(queue, lane);
    return queue === ref.queue ? Math.max(named, this.#lanes.floorOf(queue, ref.lane)) : named;
  }

  /** What ended and is not confirmed. */
  unconfirmed(): Attempt[] {
    return this.isShut ? [] : [...this.#table].filter(({ outcome }) => outcome !== undefined);
  }

  /** Forgets attempts that the store has as settled, whoever owned them; returns which. */
  settled(refs: readonly AttemptRef[]): Attempt[] {
    if (this.isShut) return [];
    return refs.flatMap((ref) => {
      const attempt = this.#table.find(ref.seq, ref.attempt);
      if (!attempt?.outcome) return [];
      this.#table.confirm(attempt);
      return [attempt];
    });
  }

  /** Where an attempt is reported to; undefined: to nobody, until its lane is attached again. */
  reporterOf(attempt: Attempt): Origin | undefined {
    return this.isShut ? undefined : this.#lanes.reporterOf(attempt.ref);
  }

  /** The stream has ended. */
  detach(streamId: number): void {
    this.#lanes.detach(streamId);
    this.#rooms.detach(streamId);
  }

  #isMeant(incarnation: number): boolean {
    return incarnation === this.#incarnation && (this.#state === "open" || this.#state === "draining");
  }
}

function stoppableOf({ preemptible, priority }: DispatchAttempt, memoryMb = 0): Stoppable | undefined {
  // An owner of a later release may know more priorities; what is not understood is not stopped.
  const isKnown = priority !== undefined && priority >= 0 && priority <= lowestPriority;
  return preemptible && isKnown ? { priority, memoryMb } : undefined;
}

function isSameLane(a: Pick<AttemptRef, "queue" | "lane">, b: Pick<AttemptRef, "queue" | "lane">): boolean {
  return a.queue === b.queue && a.lane === b.lane;
}
