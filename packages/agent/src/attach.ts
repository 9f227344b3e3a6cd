// One stream of one scheduler, which attaches partitions on it and dispatches their attempts.
//
//   waiting (until the agent is registered) ──▶ reading ──input ends, caller gives up, backlog full, fenced──▶ closed
//
// Frames are handled in order, each completely and synchronously: decide at the gate, write the journal, act, report.
import { AppError, type Clock } from "@sluice/core";
import {
  type AskFlows,
  type AttachPartitions,
  type CallContext,
  type ConfirmAttempts,
  type DispatchAttempts,
  type FromAgent,
  type MakeRoom,
  RefusalReason,
  type StopAttempts,
  type ToAgent,
} from "@sluice/protocol";
import type { Logger } from "@sluice/runtime";
import { LRUCache } from "lru-cache";
import type { AgentConfig } from "./config.ts";
import { type Attempt, outcomeBytes } from "./gate/attempt.ts";
import type { DispatchVerdict, Gate } from "./gate/gate.ts";
import type { FunctionSpec } from "./instances/pool.ts";
import type { Journal } from "./journal.ts";
import type { AgentMetrics } from "./metrics.ts";
import { stoppedOutcome } from "./outcome.ts";
import type { OwnersTime } from "./owners-time.ts";
import type { Outbox } from "./reports/outbox.ts";
import type { Reports } from "./reports/reports.ts";
import type { RoomMaker } from "./room-maker.ts";
import { poolSpec, type Runner } from "./run.ts";

export interface AttachDeps {
  readonly config: AgentConfig;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: AgentMetrics;
  readonly gate: Gate;
  readonly journal: Journal;
  readonly reports: Reports;
  readonly runner: Runner;
  readonly roomMaker: RoomMaker;
  readonly time: OwnersTime;
  /** Resolves once the agent is registered. Rejects when it takes no more streams, or the signal aborts. */
  ready(signal: AbortSignal): Promise<void>;
  /** Whether the agent may start anything now. */
  isTrusted(): boolean;
  /** Whether the host has too little memory left to start anything. */
  isShortOfMemory(): boolean;
  /** Attempts have left the dedupe table. */
  onConfirmed(attempts: readonly Attempt[]): void;
}

/** Serves one stream until either side ends it. */
export async function* attach(
  deps: AttachDeps,
  input: AsyncIterable<ToAgent>,
  { signal }: CallContext,
): AsyncGenerator<FromAgent> {
  await deps.ready(signal);
  const outbox = deps.reports.open();
  const close = () => outbox.close();
  signal.addEventListener("abort", close, { once: true });
  try {
    if (signal.aborted) return;
    void new AttachStream(deps, outbox).read(input);
    yield* outbox.frames();
  } finally {
    signal.removeEventListener("abort", close);
    deps.reports.close(outbox);
  }
}

class AttachStream {
  readonly #deps: AttachDeps;
  readonly #outbox: Outbox;
  /** The specs that were sent on this stream. Owners send again what was evicted. */
  readonly #functions: LRUCache<number, FunctionSpec>;

  constructor(deps: AttachDeps, outbox: Outbox) {
    this.#deps = deps;
    this.#outbox = outbox;
    this.#functions = new LRUCache({ max: deps.config.streamFunctionsMax });
  }

  /** Handles frames until the input or the stream ends. Never rejects. */
  async read(input: AsyncIterable<ToAgent>): Promise<void> {
    try {
      for await (const { frame } of input) {
        if (this.#outbox.isClosed) return;
        this.#receive(frame);
      }
      this.#outbox.close();
    } catch (cause) {
      if (!(cause instanceof AppError)) this.#deps.log.error("an attach stream failed", { cause: String(cause) });
      this.#outbox.fail(cause);
    }
  }

  #receive(frame: ToAgent["frame"]): void {
    switch (frame?.$case) {
      case "attach":
        this.#attach(frame.value);
        break;
      case "dispatch":
        this.#dispatch(frame.value);
        break;
      case "stop":
        this.#stop(frame.value);
        break;
      case "confirm":
        this.#confirm(frame.value);
        break;
      case "askFlows":
        this.#askFlows(frame.value);
        break;
      case "makeRoom":
        this.#makeRoom(frame.value);
        break;
      case "ping":
        this.#outbox.status();
        break;
      case undefined:
        // A frame of a newer version.
        break;
    }
  }

  #attach(frame: AttachPartitions): void {
    const { gate, log, metrics, reports, config } = this.#deps;
    const { session, schedulerId } = frame;
    this.#deps.time.heard(frame.nowMs);
    const { isMeant, refused, inventory } = gate.attach(frame, this.#outbox.streamId);
    reports.attached();
    metrics.attached.inc({ answer: "refused" }, refused.length);
    metrics.attached.inc({ answer: isMeant ? "attached" : "incarnation" }, frame.partitions.length - refused.length);
    const { told, later } = splitInventory(inventory, config.frameBytesMax);
    this.#outbox.frame({
      $case: "attached",
      value: {
        session,
        incarnation: gate.incarnation,
        refused: [...refused],
        inventory: told,
        status: reports.status(this.#outbox.streamId),
        answersFlows: true,
      },
    });
    for (const attempt of later) this.#outbox.ended(attempt);
    for (const attempt of inventory) if (!attempt.outcome && attempt.progress !== "") reports.progressed(attempt);
    log.info("partitions attached", {
      schedulerId,
      session,
      partitions: frame.partitions.length,
      refused: refused.length,
      isMeant,
      inventory: inventory.length,
    });
  }

  #dispatch(frame: DispatchAttempts): void {
    for (const spec of frame.functions) this.#functions.set(spec.revision, poolSpec(spec));
    const { gate, metrics, reports, runner, time, isTrusted, isShortOfMemory } = this.#deps;
    time.heard(frame.nowMs);
    // Asked for its effect as well: an agent that is past its deadline shuts its gate here.
    if (!isTrusted()) return;
    const verdict = gate.dispatch(frame, this.#outbox.streamId, {
      now: time.now(),
      knowsFunction: (revision) => this.#functions.has(revision),
      flowOf: (revision) => this.#functions.peek(revision),
      isShortOfMemory: isShortOfMemory(),
    });
    const { accepted, ended, refused } = this.#journalled(verdict);
    for (const { attempt, order } of accepted) {
      runner.start(attempt, order, this.#functions.get(order.functionRevision) as FunctionSpec);
    }
    for (const attempt of ended) this.#outbox.ended(attempt);
    metrics.repeated.inc(ended.length);
    for (const { reason } of refused) metrics.refused.inc({ reason: refusalNames.get(reason) ?? "unspecified" });
    if (refused.length > 0) {
      this.#outbox.frame({ $case: "refused", value: { session: frame.session, attempts: [...refused] } });
    }
    reports.sent(this.#outbox.streamId);
  }

  /** Nothing starts that the journal does not hold: after a crash nobody would know of it. */
  #journalled(verdict: DispatchVerdict): DispatchVerdict {
    const { accepted, ended, refused } = verdict;
    if (accepted.length === 0) return verdict;
    const { gate, journal, log, metrics } = this.#deps;
    try {
      journal.accepted(accepted.map(({ attempt }) => attempt.ref));
      return verdict;
    } catch (cause) {
      log.error("cannot write the journal; attempts are refused", { count: accepted.length, cause: String(cause) });
      metrics.journalFailures.inc();
      for (const { attempt } of accepted) gate.takeBack(attempt);
      const busy = accepted.map(({ attempt: { ref } }) => ({ ref, reason: RefusalReason.BUSY }));
      return { accepted: [], ended, refused: [...refused, ...busy] };
    }
  }

  #stop(frame: StopAttempts): void {
    const { gate, clock, runner } = this.#deps;
    const { running, ended } = gate.stop(frame, this.#outbox.streamId, stoppedOutcome(clock.now()));
    for (const attempt of running) runner.stop(attempt);
    for (const attempt of ended) this.#outbox.ended(attempt);
  }

  #askFlows(frame: AskFlows): void {
    const { gate } = this.#deps;
    const flows = gate.askFlows(frame);
    if (flows === undefined) return;
    this.#outbox.frame({ $case: "flowsAnswered", value: { incarnation: gate.incarnation, flows: [...flows] } });
  }

  #makeRoom(frame: MakeRoom): void {
    if (this.#deps.isTrusted()) this.#deps.roomMaker.asked(frame, this.#outbox);
  }

  #confirm(frame: ConfirmAttempts): void {
    const confirmed = this.#deps.gate.confirm(frame);
    if (confirmed.length > 0) this.#deps.onConfirmed(confirmed);
  }
}

const refusalNames = new Map(Object.entries(RefusalReason).map(([name, reason]) => [reason, name.toLowerCase()]));

/**
 * One message must hold the whole inventory, or its receiver would take an attempt for missing. Outcomes that would make it
 * too large are told right behind it; until then these attempts count as running.
 */
function splitInventory(inventory: readonly Attempt[], bytesMax: number) {
  let bytes = 0;
  const later: Attempt[] = [];
  const told = inventory.map((attempt) => {
    const { ref, outcome, startedAtMs, instanceId, recovered } = attempt;
    bytes += outcomeBytes(outcome);
    const isLater = bytes > bytesMax && outcome !== undefined;
    if (isLater) later.push(attempt);
    return { ref, outcome: isLater ? undefined : outcome, startedAtMs, instanceId, recovered };
  });
  return { told, later };
}
