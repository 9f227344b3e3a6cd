import type { Clock } from "@sluice/core";
import type { AgentStatus } from "@sluice/protocol";
import type { AgentConfig } from "../config.ts";
import type { Attempt } from "../gate/attempt.ts";
import type { Gate } from "../gate/gate.ts";
import type { AgentMetrics } from "../metrics.ts";
import { offerTo, type SlotOwner } from "./offers.ts";
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
  /** The host has too little memory left: nothing more is offered. */
  isShortOfMemory?(): boolean;
}

/** Who has sent attempts within this time shares what is free with the others that have. */
const activeMs = 1_000;
/** What many streams ask for at the same time is counted once. */
const countEveryMs = 10;

/** Tells owners about their attempts: each on the one stream that its lane reports to. */
export class Reports {
  readonly #deps: ReportsDeps;
  readonly #outboxes = new Map<number, Outbox>();
  readonly #started: StartedReports;
  readonly #status: StatusReports;
  #lastStreamId = 0;
  /** When each stream sent attempts last, monotonic. */
  readonly #sentAt = new Map<number, number>();
  #counted: { readonly at: number; readonly owners: ReadonlyMap<number, SlotOwner> } | undefined;

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
      status: () => this.#statusOfAll(),
      owners: () => this.#activeOwners(),
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
    const streamId = ++this.#lastStreamId;
    const outbox = new Outbox({
      streamId,
      backlogMax: config.streamBacklogMax,
      frameAttemptsMax: config.frameAttemptsMax,
      frameBytesMax: config.frameBytesMax,
      reporterOf: (attempt) => gate.reporterOf(attempt),
      status: () => this.status(streamId),
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
    this.#sentAt.delete(outbox.streamId);
    this.#counted = undefined;
    this.#deps.metrics.streams.dec();
    this.#deps.gate.detach(outbox.streamId);
  }

  /** Attempts came on a stream, whether they are accepted or not. */
  sent(streamId: number): void {
    this.#sentAt.set(streamId, this.#deps.clock.monotonic());
    this.changed();
  }

  /** The partitions of a stream have changed, and with them whose attempts are whose. */
  attached(): void {
    this.#counted = undefined;
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

  /** As the owner of a stream is told. */
  status(streamId: number): AgentStatus {
    const status = this.#statusOfAll();
    const owners = this.#owners();
    const owner = owners.get(streamId) ?? { used: 0, isActive: false };
    const others = [...owners].filter(([id]) => id !== streamId).map(([, other]) => other);
    const isClosed = this.#deps.isShortOfMemory?.() ?? false;
    // Some may run whose owner is away.
    const used = others.reduce((sum, other) => sum + other.used, owner.used);
    const slots = Math.max(0, status.slots - Math.max(0, status.slotsUsed - used));
    return { ...status, slotsOffered: isClosed ? owner.used : offerTo(owner, others, slots) };
  }

  #statusOfAll(): AgentStatus {
    const { gate, config, warmRevisions, isShortOfMemory } = this.#deps;
    const status = gate.status();
    // Schedulers that do not know what they are offered know this.
    const slots = isShortOfMemory?.() ? status.slotsUsed : status.slots;
    const preemptible = isShortOfMemory?.() ? [] : status.preemptible;
    const told = { ...status, slots, preemptible, slotsOffered: undefined, memoryMaxMb: config.memoryMaxMb };
    return { ...told, warmRevisions: warmRevisions() };
  }

  #owners(): ReadonlyMap<number, SlotOwner> {
    const now = this.#deps.clock.monotonic();
    if (this.#counted && now - this.#counted.at < countEveryMs) return this.#counted.owners;
    const used = this.#deps.gate.usedByStream();
    const owners = new Map<number, SlotOwner>();
    for (const id of this.#outboxes.keys()) {
      const isActive = now - (this.#sentAt.get(id) ?? Number.NEGATIVE_INFINITY) < activeMs;
      owners.set(id, { used: used.get(id) ?? 0, isActive });
    }
    this.#counted = { at: now, owners };
    return owners;
  }

  #activeOwners(): number {
    const since = this.#deps.clock.monotonic() - activeMs;
    let count = 0;
    for (const at of this.#sentAt.values()) if (at > since) count++;
    return count;
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
