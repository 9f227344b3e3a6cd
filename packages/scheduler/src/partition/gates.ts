// What may hold a flow back although there is room at the agents: a pause, a limit, its adaptive window, a refusal. Each is one
// gate, in `gates/`; the dispatch loop asks all of them once per flow and batch, and tells them what became of attempts.
//
//   pick ──room()──▶ picked ──onPicked──▶ read, sent ──onEnded──▶ settled
//                       └───────not to be sent: onReleased────┘
import type { Flow } from "@sluice/core";
import type { OutcomeKind } from "@sluice/protocol";
import type { FunctionRecord } from "@sluice/store";
import type { ActiveTask, Origin } from "./memory.ts";

export interface GatedFlow {
  readonly origin: Origin;
  readonly flowKey: string;
  /** As it was read last; undefined: never yet. */
  readonly function: FunctionRecord | undefined;
  /** Its attempts in this partition: picked, dispatched, or ended and not settled yet. */
  readonly active: number;
}

export interface EndedAttempt {
  readonly kind: OutcomeKind;
  /** As asked for by whoever refused the attempt; 0: nothing was. */
  readonly retryAfterMs: number;
  /** Empty: none. */
  readonly errorType: string;
}

/** Attempts that have been sent, or wait for an answer of agents or of the store, in this partition. */
export interface Others {
  readonly ofFlow: number;
  /** Of all flows of its account. */
  readonly ofAccount: number;
  /** Of any flow, by its key. */
  activeOf(flowKey: string): number;
}

export interface Gate {
  /** How many more attempts of the flow may be picked now; `Infinity`: it does not mind. Pure but for its own clockwork. */
  room(flow: GatedFlow): number;
  /** One more attempt was picked. */
  onPicked?(flow: GatedFlow, task: ActiveTask): void;
  /**
   * Asked right before an attempt is sent, with the function as it was read just now; false: it waits again. Only limits that
   * must never be exceeded need it.
   */
  admits?(flow: GatedFlow, task: ActiveTask, others: Others): boolean;
  /** A picked attempt was not sent after all, or not taken: it waits again, or there is nothing to be sent. */
  onReleased?(task: ActiveTask): void;
  /** An agent had no room for the attempt; `onReleased` follows. */
  onBusy?(task: ActiveTask): void;
  /** An agent knows newer limits of the flow, or a newer route, than the attempt was sent by; `onReleased` follows. */
  onOutdated?(task: ActiveTask): void;
  /** An attempt ended, with whatever outcome. */
  onEnded?(task: ActiveTask, ended: EndedAttempt): void;
  /** When time alone may give a flow room again, monotonic ms; Infinity: never. */
  dueAt?(): number;
  /** Flows to which it has. Each is returned once. */
  due?(): readonly Flow[];
}

/** The strictest of several; all of them hear everything. */
export function allGates(gates: readonly Gate[]): Required<Gate> {
  return {
    room(flow) {
      let room = Number.POSITIVE_INFINITY;
      for (const gate of gates) {
        room = Math.min(room, gate.room(flow));
        if (room <= 0) return 0;
      }
      return room;
    },
    onPicked(flow, task) {
      for (const gate of gates) gate.onPicked?.(flow, task);
    },
    admits: (flow, task, others) => gates.every((gate) => gate.admits?.(flow, task, others) ?? true),
    onReleased(task) {
      for (const gate of gates) gate.onReleased?.(task);
    },
    onBusy(task) {
      for (const gate of gates) gate.onBusy?.(task);
    },
    onOutdated(task) {
      for (const gate of gates) gate.onOutdated?.(task);
    },
    onEnded(task, ended) {
      for (const gate of gates) gate.onEnded?.(task, ended);
    },
    dueAt: () => Math.min(...gates.map((gate) => gate.dueAt?.() ?? Number.POSITIVE_INFINITY)),
    due: () => gates.flatMap((gate) => gate.due?.() ?? []),
  };
}
