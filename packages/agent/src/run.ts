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
import type { LogSink } from "./logs/attempt-sink.ts";
import type { LogUploader } from "./logs/log-uploader.ts";
import type { AgentMetrics } from "./metrics.ts";
import { agentErrorOutcome, lostOutcome, outcomeOf } from "./outcome.ts";
import type { Reports } from "./reports/reports.ts";

export interface RunnerDeps {
  readonly config: AgentConfig;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: AgentMetrics;
  readonly gate: Gate;
  readonly pool: InstancePool;
  readonly reports: Reports;
  readonly logs: LogUploader;
}

const progressLengthMax = 8 * 1024;
/** Of so many revisions that ran lately owners hear whether they are warm. */
const recentRevisionsMax = 256;
const outcomeNames = new Map(Object.entries(OutcomeKind).map(([name, kind]) => [kind, name.toLowerCase()]));

interface Run {
  readonly attempt: Attempt;
  readonly order: DispatchAttempt;
  readonly spec: FunctionSpec;
  readonly controller: AbortController;
  isStopAsked: boolean;
}

export class Runner {
  readonly #deps: RunnerDeps;
  readonly #running = new Map<Attempt, Run>();
  readonly #recent = new LRUCache<number, true>({ max: recentRevisionsMax });
  #isHandingBack = false;

  constructor(deps: RunnerDeps) {
    this.#deps = deps;
  }

  start(attempt: Attempt, order: DispatchAttempt, spec: FunctionSpec): void {
    const run: Run = { attempt, order, spec, controller: new AbortController(), isStopAsked: false };
    this.#running.set(attempt, run);
    this.#recent.set(spec.revision, true);
    this.#deps.metrics.accepted.inc();
    void this.#run(run);
  }

  /** Its owner wants it to stop; the pool says when it has. */
  stop(attempt: Attempt): void {
    const run = this.#running.get(attempt);
    if (!run) return;
    run.isStopAsked = true;
    run.controller.abort(new DOMException("the task was stopped", "AbortError"));
  }

  /** Stops everything that runs and gives it back to its owners, to be run elsewhere. */
  handBack(): void {
    this.#isHandingBack = true;
    for (const { controller } of this.#running.values()) {
      controller.abort(new DOMException("the agent is shutting down", "AbortError"));
    }
  }

  /** Those of the revisions that ran lately. */
  warmRevisions(): number[] {
    return [...this.#recent.keys()].filter((revision) => this.#deps.pool.hasWarm(revision)).sort((a, b) => a - b);
  }

  /** Never rejects. */
  async #run(run: Run): Promise<void> {
    const { clock, config, log, metrics, gate, pool, reports, logs } = this.#deps;
    const { attempt, order, spec, controller } = run;
    const acceptedAt = clock.monotonic();
    const sink = logs.open(attempt.ref);
    let outcome: AttemptOutcome;
    try {
      const ended = await pool.run(spec, this.#invocation(run, sink), controller.signal);
      outcome = this.#handedBack(run, ended) ?? outcomeOf(ended, clock.now(), config.resultBytesMax);
    } catch (cause) {
      log.error("the instance pool failed", { taskId: order.taskId, attempt: order.attempt, cause: String(cause) });
      outcome = agentErrorOutcome(cause, clock.now());
    }
    sink.end();
    this.#running.delete(attempt);
    metrics.ended.inc({ outcome: outcomeNames.get(outcome.kind) ?? "unspecified" });
    metrics.attemptSeconds.observe((clock.monotonic() - acceptedAt) / 1000);
    if (gate.end(attempt, outcome)) reports.ended(attempt);
  }

  #invocation({ attempt, order }: Run, sink: LogSink): Invocation {
    const { clock, reports } = this.#deps;
    return {
      requestId: requestId(order, clock.now()),
      taskId: order.taskId,
      attempt: order.attempt,
      retryCount: order.retries,
      payload: order.payload,
      fenceToken: fenceToken(order.attempt, order.epoch),
      onLog: (stream, chunk) => sink.write(stream, chunk),
      onStarted: (instanceId) => {
        attempt.startedAtMs = clock.now();
        attempt.instanceId = instanceId;
        reports.started(attempt);
      },
      onProgress: (value) => {
        const progress = JSON.stringify(value) ?? "";
        if (attempt.outcome || progress.length > progressLengthMax) return;
        attempt.progress = progress;
        reports.progressed(attempt);
      },
    };
  }

  /** What did not succeed while the agent shut down may have failed for that reason. */
  #handedBack({ isStopAsked }: Run, { kind }: Outcome): AttemptOutcome | undefined {
    if (!this.#isHandingBack || isStopAsked || kind === "succeeded" || kind === "invalid") return undefined;
    return lostOutcome("the agent was shut down while the attempt ran", this.#deps.clock.now());
  }
}

/** Unlike in every attempt of every task, in the form that users of Function Compute know. */
function requestId({ seq, attempt }: DispatchAttempt, now: EpochMs): string {
  const hex = (number: number, digits: number) => number.toString(16).padStart(digits, "0");
  return `1-${hex(Math.floor(now / 1000), 8)}-${hex(seq, 16)}${hex(attempt, 8)}`;
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
