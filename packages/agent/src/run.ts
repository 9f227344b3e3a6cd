// From the acceptance of an attempt to its outcome.
import type { Clock, EpochMs } from "@sluice/core";
import {
  type AttemptOutcome,
  type DispatchAttempt,
  OutcomeKind,
  type FunctionSpec as WireSpec,
} from "@sluice/protocol";
import type { Logger } from "@sluice/runtime";
import { LRUCache } from "lru-cache";
import type { AgentConfig } from "./config.ts";
import { fenceToken } from "./fence-token.ts";
import type { Attempt } from "./gate/attempt.ts";
import type { Gate } from "./gate/gate.ts";
import type { FunctionSpec, InstancePool, Invocation, Outcome } from "./instances/pool.ts";
import { StopSource } from "./instances/stop-signal.ts";
import type { Journal } from "./journal.ts";
import type { LogSink } from "./logs/attempt-sink.ts";
import type { LogUploader } from "./logs/log-uploader.ts";
import type { AgentMetrics } from "./metrics.ts";
import { agentErrorOutcome, handedBackOutcome, outcomeOf } from "./outcome.ts";
import type { OwnersTime } from "./owners-time.ts";
import type { Reports } from "./reports/reports.ts";
import type { RoomMaker } from "./room-maker.ts";

export interface RunnerDeps {
  readonly config: AgentConfig;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: AgentMetrics;
  readonly gate: Gate;
  readonly pool: InstancePool;
  readonly journal: Journal;
  readonly reports: Reports;
  readonly logs: LogUploader;
  readonly time: OwnersTime;
  readonly roomMaker?: RoomMaker;
}

/** Of so many revisions that ran lately owners hear whether they are warm. */
const recentRevisionsMax = 256;
const outcomeNames = new Map(Object.entries(OutcomeKind).map(([name, kind]) => [kind, name.toLowerCase()]));

export class Runner {
  readonly #deps: RunnerDeps;
  readonly #running = new Map<Attempt, Run>();
  readonly #recent = new LRUCache<number, true>({ max: recentRevisionsMax });
  #isHandingBack = false;

  constructor(deps: RunnerDeps) {
    this.#deps = deps;
  }

  start(attempt: Attempt, order: DispatchAttempt, spec: FunctionSpec): void {
    const run = new Run(attempt, order, spec, this.#deps);
    this.#running.set(attempt, run);
    this.#recent.set(spec.revision, true);
    this.#deps.metrics.accepted.inc();
    void this.#run(run);
    this.#deps.roomMaker?.accepted(attempt, order.priority);
  }

  /** Its owner wants it to stop, or its slot is needed; the pool says when it has. */
  stop(attempt: Attempt): void {
    const run = this.#running.get(attempt);
    if (!run) return;
    run.isStopAsked = true;
    run.stop.abort();
  }

  /** Stops everything that runs and gives it back to its owners, to be run elsewhere. */
  handBack(): void {
    this.#isHandingBack = true;
    for (const { stop } of this.#running.values()) stop.abort();
  }

  /** Those of the revisions that ran lately. */
  warmRevisions(): number[] {
    return [...this.#recent.keys()].filter((revision) => this.#deps.pool.hasWarm(revision)).sort((a, b) => a - b);
  }

  /** Never rejects. */
  async #run(run: Run): Promise<void> {
    const { clock, config, log, metrics, gate, pool, journal, reports } = this.#deps;
    const acceptedAt = clock.monotonic();
    let outcome: AttemptOutcome;
    try {
      const ended = await pool.run(run.spec, run, run.stop);
      outcome = this.#handedBack(run, ended) ?? outcomeOf(ended, clock.now(), config.resultBytesMax);
    } catch (cause) {
      log.error("the instance pool failed", { taskId: run.taskId, attempt: run.attempt, cause: String(cause) });
      outcome = agentErrorOutcome(cause, clock.now());
    }
    run.sink.end();
    this.#running.delete(run.entry);
    metrics.ended.inc({ outcome: outcomeNames.get(outcome.kind) ?? "unspecified" });
    metrics.attemptSeconds.observe((clock.monotonic() - acceptedAt) / 1000);
    if (!gate.end(run.entry, outcome)) return;
    journal.ended(run.entry.ref, outcome);
    reports.ended(run.entry);
    this.#deps.roomMaker?.ended(run.entry);
  }

  /** What did not succeed while the agent shut down may have failed for that reason. */
  #handedBack({ isStopAsked }: Run, { kind }: Outcome): AttemptOutcome | undefined {
    if (!this.#isHandingBack || isStopAsked || kind === "succeeded" || kind === "invalid") return undefined;
    return handedBackOutcome(this.#deps.clock.now());
  }
}

/** One attempt in the pool. A class, so that thousands a second need no closures. */
class Run implements Invocation {
  readonly entry: Attempt;
  readonly spec: FunctionSpec;
  readonly stop = new StopSource();
  readonly sink: LogSink;
  isStopAsked = false;
  readonly requestId: string;
  readonly taskId: string;
  readonly attempt: number;
  readonly retryCount: number;
  readonly payload: Uint8Array;
  readonly startBefore?: number;
  readonly fenceToken: string;
  readonly #deps: RunnerDeps;

  constructor(entry: Attempt, order: DispatchAttempt, spec: FunctionSpec, deps: RunnerDeps) {
    const { clock, logs, time } = deps;
    this.entry = entry;
    this.spec = spec;
    this.sink = logs.open(entry.ref);
    this.requestId = requestIdOf(order, clock.now());
    this.taskId = order.taskId;
    this.attempt = order.attempt;
    this.retryCount = order.retries;
    this.payload = order.payload;
    if (order.expiresAtMs > 0) this.startBefore = clock.monotonic() + order.expiresAtMs - time.now();
    this.fenceToken = fenceToken(order.attempt, order.epoch);
    this.#deps = deps;
  }

  onLog(stream: "stdout" | "stderr", chunk: Uint8Array): void {
    this.sink.write(stream, chunk);
  }

  onStarted(instanceId: string): void {
    const { clock, journal, reports } = this.#deps;
    journal.started(this.entry.ref);
    this.entry.startedAtMs = clock.now();
    this.entry.instanceId = instanceId;
    reports.started(this.entry);
  }

  onProgress(json: string): void {
    if (this.entry.outcome) return;
    this.entry.progress = json;
    this.#deps.reports.progressed(this.entry);
  }
}

/** Different for every attempt of every task, in the form that users of Function Compute know. */
function requestIdOf({ seq, attempt }: DispatchAttempt, now: EpochMs): string {
  return `1-${hex(Math.floor(now / 1000), 8)}-${hex(seq, 16)}${hex(attempt, 8)}`;
}

function hex(number: number, digits: number): string {
  return number.toString(16).padStart(digits, "0");
}

/** What an owner sends, as the pool wants it. */
export function poolSpec(spec: WireSpec): FunctionSpec {
  const { name, initializer, initializerTimeoutMs, preStop, preStopTimeoutMs, ...same } = spec;
  return {
    ...same,
    functionName: name,
    ...(initializer !== "" && { initializer: { handler: initializer, timeoutMs: initializerTimeoutMs } }),
    ...(preStop !== "" && { preStop: { handler: preStop, timeoutMs: preStopTimeoutMs } }),
  };
}
