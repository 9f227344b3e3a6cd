// Frames that state only what matters to a test.
import type { AttemptRef, DispatchAttempt, FlowQuestion } from "@sluice/protocol";
import { lostOutcome, outcomeOf, stoppedOutcome } from "../outcome.ts";
import { type DispatchVerdict, Gate, type GateConfig } from "./gate.ts";

export const incarnation = 7;
export const revision = 1;
const stopped = stoppedOutcome(0);

export const succeeded = (bytes = 2) => outcomeOf({ kind: "succeeded", result: Buffer.alloc(bytes) }, 5, 1_000_000);

export function endAll(gate: Gate, { accepted }: DispatchVerdict, bytes?: number): void {
  for (const { attempt } of accepted) gate.end(attempt, succeeded(bytes));
}

export function openGate(config: Partial<GateConfig> = {}, lost: readonly AttemptRef[] = []): Gate {
  const gate = new Gate({
    slots: 10,
    instancesMax: 16,
    entriesMax: 100,
    bytesMax: 1_000_000,
    confirmedMax: 100,
    monotonic: () => 0,
    ...config,
  });
  const recovered = lost.map((ref) => ({ ref, outcome: undefined }));
  gate.open({ incarnation, floors: [], recovered, lostOutcome: lostOutcome("lost", 0) });
  return gate;
}

function aRef(overrides: Partial<AttemptRef> = {}): AttemptRef {
  return { seq: 1, attempt: 1, queue: "q", lane: 0, ...overrides };
}

function anOrder(overrides: Partial<DispatchAttempt> = {}): DispatchAttempt {
  return {
    ...aRef(),
    epoch: 1,
    expiresAtMs: 0,
    functionRevision: revision,
    taskId: "task-1",
    retries: 0,
    payload: Buffer.alloc(0),
    limitsVersion: [],
    priority: 2,
    preemptible: false,
    ...overrides,
  };
}

function aQuestion(overrides: Partial<FlowQuestion>): FlowQuestion {
  return { accountId: "main", functionName: "echo", queue: "q", lane: 0, limitsVersion: [5, 0, 0], ...overrides };
}

interface OwnerOptions {
  readonly epoch?: number;
  readonly session?: number;
  readonly streamId?: number;
  readonly incarnation?: number;
  readonly prefix?: string;
}

/** What one owner sends on one stream in one session. */
export function anOwner(gate: Gate, options: OwnerOptions = {}) {
  const { epoch = 1, session = 1, streamId = 1, prefix = "" } = options;
  const head = { session, incarnation: options.incarnation ?? incarnation };
  return {
    attach: (partitions = [{ queue: "q", prefix, epoch }]) =>
      gate.attach({ ...head, partitions, schedulerId: "s", nowMs: 0 }, streamId),
    dispatch: (
      order: Partial<DispatchAttempt> = {},
      { now = 0, knowsFunction = (known: number) => known === revision, accountId = "main" } = {},
    ) =>
      gate.dispatch({ ...head, functions: [], attempts: [anOrder({ epoch, ...order })], nowMs: 0 }, streamId, {
        now,
        knowsFunction,
        flowOf: () => ({ accountId, functionName: "echo" }),
      }),
    stop: (...refs: Partial<AttemptRef>[]) =>
      gate.stop({ ...head, epoch, attempts: refs.map(aRef) }, streamId, stopped),
    ask: (question: Partial<FlowQuestion> = {}) => gate.askFlows({ ...head, flows: [aQuestion(question)] }),
    confirm: (...refs: Partial<AttemptRef>[]) => gate.confirm({ ...head, epoch, attempts: refs.map(aRef) }),
  };
}
