// Makes room for urgent tasks: stops what may be stopped, tells who asked, and keeps the slot for it for a while.
//
//   question ──▶ answered: none
//           ├──▶ answered: share (it may have nothing of other accounts stopped)
//           └──▶ answered: stopping ──the attempt has ended──▶ told: kept ──`keptMs`──▶ anybody's
//
// An urgent attempt may have a slot, and yet wait for an instance: all of them run what others began.
//
//   accepted ──not begun after `waitMs`──▶ looked at, every `waitMs` ──an instance leaves for it──▶ what that one runs is stopped
//                                              └──it has begun, or ended──▶ done
import type { Clock } from "@sluice/core";
import { type MakeRoom, RoomState } from "@sluice/protocol";
import type { Attempt } from "./gate/attempt.ts";
import type { Gate } from "./gate/gate.ts";
import type { Room } from "./gate/rooms.ts";
import type { AgentMetrics } from "./metrics.ts";
import type { Outbox } from "./reports/outbox.ts";

export interface RoomMakerDeps {
  readonly clock: Clock;
  readonly metrics: Pick<AgentMetrics, "roomQuestions">;
  readonly gate: Gate;
  stop(attempt: Attempt): void;
  isShortOfMemory(): boolean;
  /** Instances that end, for others, as soon as what they run has ended. */
  leavingInstances(): readonly string[];
  /** What the agent has room for may have changed. */
  onChange(): void;
}

/** No owner, however wrong, has more stopped here than one attempt in this time. */
const stopEveryMs = 50;
/** An owner that was told reads a row, and dispatches. */
const keptMs = 2_000;

const waitMs = 100;
/** The highest number of a priority that others are stopped for: high. */
const urgentPriority = 1;

interface Asked {
  readonly room: Room;
  readonly question: number;
  readonly outbox: Outbox;
}

export class RoomMaker {
  readonly #deps: RoomMakerDeps;
  /** By what is being stopped. */
  readonly #stopping = new Map<Attempt, Asked>();
  #stoppedAt = Number.NEGATIVE_INFINITY;

  constructor(deps: RoomMakerDeps) {
    this.#deps = deps;
  }

  asked(frame: MakeRoom, outbox: Outbox): void {
    const { clock, gate, isShortOfMemory, stop } = this.#deps;
    const { question } = frame;
    const mayStop = clock.monotonic() - this.#stoppedAt >= stopEveryMs && !isShortOfMemory();
    const room = mayStop ? gate.makeRoom(frame, outbox.streamId) : "none";
    if (room === undefined) return;
    if (typeof room === "string") {
      this.#tell(outbox, question, room === "none" ? RoomState.NONE : RoomState.SHARE);
      return;
    }
    const { victim } = room;
    if (!victim) {
      this.#keep({ room, question, outbox });
      return;
    }
    this.#stoppedAt = clock.monotonic();
    this.#stopping.set(victim, { room, question, outbox });
    this.#tell(outbox, question, RoomState.STOPPING);
    stop(victim);
  }

  /** An attempt was given to the pool. */
  accepted(attempt: Attempt, priority: number | undefined): void {
    if (priority === undefined || priority > urgentPriority || !this.#hasStoppable(priority)) return;
    const { clock, gate } = this.#deps;
    clock.timer(waitMs, () => {
      if (gate.isShut || attempt.startedAtMs > 0 || attempt.outcome) return;
      if (!this.#stopForInstance(attempt, priority)) this.accepted(attempt, priority);
    });
  }

  /** An attempt has ended, and its owner was told. */
  ended(attempt: Attempt): void {
    const asked = this.#stopping.get(attempt);
    if (!asked) return;
    this.#stopping.delete(attempt);
    this.#keep(asked);
  }

  #hasStoppable(priority: number): boolean {
    return this.#deps.gate.status().preemptible.some((count, of) => of > priority && count > 0);
  }

  /** Whether something was stopped. */
  #stopForInstance(waiting: Attempt, priority: number): boolean {
    const { clock, gate, stop, leavingInstances } = this.#deps;
    if (clock.monotonic() - this.#stoppedAt < stopEveryMs) return false;
    const victim = gate.lastIn(leavingInstances(), waiting, priority);
    if (!victim) return false;
    this.#stoppedAt = clock.monotonic();
    stop(victim);
    return true;
  }

  #keep({ room, question, outbox }: Asked): void {
    const { clock, gate, onChange } = this.#deps;
    this.#tell(outbox, question, RoomState.KEPT);
    clock.timer(keptMs, () => {
      gate.release(room);
      onChange();
    });
    onChange();
  }

  #tell(outbox: Outbox, question: number, state: RoomState): void {
    const { metrics, gate } = this.#deps;
    metrics.roomQuestions.inc({ answer: answerNames.get(state) ?? "unspecified" });
    outbox.frame({ $case: "roomAnswer", value: { incarnation: gate.incarnation, question, state } });
  }
}

const answerNames = new Map(Object.entries(RoomState).map(([name, state]) => [state, name.toLowerCase()]));
