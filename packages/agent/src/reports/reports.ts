import type { Clock } from "@sluice/core";
import type { AgentStatus } from "@sluice/protocol";
import type { AgentConfig } from "../config.ts";
import type { Attempt } from "../gate/attempt.ts";
import type { Gate } from "../gate/gate.ts";
import type { AgentMetrics } from "../metrics.ts";
import { Outbox } from "./outbox.ts";
import { StartedReports } from "./started-reports.ts";
import { StatusReports } from "./status-reports.ts";

export interface ReportsDeps {
  readonly config: AgentConfig;
  readonly clock: Clock;
  readonly metrics: AgentMetrics;
  readonly gate: Gate;
  /** Called before a frame leaves. */
  beforeFrame(): void;
  /** Revisions with a warm instance. */
  warmRevisions(): number[];
}

/** Tells owners about their attempts: each on the one stream that its lane reports to. */
export class Reports {
  readonly #deps: ReportsDeps;
  readonly #outboxes = new Map<number, Outbox>();
  readonly #started: StartedReports;
  readonly #status: StatusReports;
  #lastStreamId = 0;

  constructor(deps: ReportsDeps) {
    this.#deps = deps;
    const { clock, config } = deps;
    this.#started = new StartedReports({
      clock,
      startedAfterMs: config.startedAfterMs,
      progressEveryMs: config.progressEveryMs,
      report: (attempt) => this.#outboxOf(attempt)?.started(attempt),
    });
    this.#status = new StatusReports({
      clock,
      everyMs: config.statusEveryMs,
      status: () => this.status(),
      broadcast: () => {
        for (const outbox of this.#outboxes.values()) outbox.status();
      },
    });
  }

  get streamCount(): number {
    return this.#outboxes.size;
  }
  get hasHadStreams(): boolean {
    return this.#lastStreamId > 0;
  }

  /** A stream has come. */
  open(): Outbox {
    const { config, metrics, gate } = this.#deps;
    const outbox = new Outbox({
      streamId: ++this.#lastStreamId,
      backlogMax: config.streamBacklogMax,
      frameAttemptsMax: config.frameAttemptsMax,
      frameBytesMax: config.frameBytesMax,
      reporterOf: (attempt) => gate.reporterOf(attempt),
      status: () => this.status(),
      onFrame: (kind) => {
        this.#deps.beforeFrame();
        metrics.frames.inc({ kind });
      },
      onStalled: () => metrics.streamsStalled.inc(),
    });
    this.#outboxes.set(outbox.streamId, outbox);
    metrics.streams.inc();
    return outbox;
  }

  /** A stream has gone. */
  close(outbox: Outbox): void {
    outbox.close();
    if (!this.#outboxes.delete(outbox.streamId)) return;
    this.#deps.metrics.streams.dec();
    this.#deps.gate.detach(outbox.streamId);
  }

  started(attempt: Attempt): void {
    this.#started.started(attempt);
  }
  progressed(attempt: Attempt): void {
    this.#started.progressed(attempt);
  }
  ended(attempt: Attempt): void {
    this.#started.ended(attempt);
    this.#outboxOf(attempt)?.ended(attempt);
    this.changed();
  }

  /** The agent's room may have changed. */
  changed(): void {
    const { metrics, gate } = this.#deps;
    metrics.slotsUsed.set(gate.runningCount);
    metrics.tableEntries.set(gate.count);
    metrics.tableBytes.set(gate.bytes);
    this.#status.changed();
  }

  status(): AgentStatus {
    return { ...this.#deps.gate.status(), warmRevisions: this.#deps.warmRevisions() };
  }

  /** Ends every stream; with a cause, at once. */
  stop(cause?: unknown): void {
    this.#started.stop();
    this.#status.stop();
    for (const outbox of this.#outboxes.values()) {
      if (cause === undefined) outbox.close();
      else outbox.fail(cause);
    }
  }

  #outboxOf(attempt: Attempt): Outbox | undefined {
    const reporter = this.#deps.gate.reporterOf(attempt);
    return reporter && this.#outboxes.get(reporter.streamId);
  }
}
