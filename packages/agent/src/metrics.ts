import { Counter, Gauge, Histogram, type Metric, type Registry } from "prom-client";

export type AgentMetrics = ReturnType<typeof agentMetrics>;

/**
 * Every metric of an agent. A registry that has them already is used as it is: an incarnation that follows another one in
 * the same process goes on counting.
 */
export function agentMetrics(registry: Registry) {
  const registers = [registry];
  const once = <M extends Metric>(name: string, create: () => M) =>
    (registry.getSingleMetric(name) as M | undefined) ?? create();
  const counter = <Label extends string>(name: string, help: string, ...labelNames: Label[]) =>
    once(name, () => new Counter<Label>({ name, help, labelNames, registers }));
  const gauge = (name: string, help: string) => once(name, () => new Gauge({ name, help, registers }));
  const histogram = (name: string, help: string, buckets: number[]) =>
    once(name, () => new Histogram({ name, help, buckets, registers }));
  return {
    accepted: counter("sluice_agent_attempts_accepted_total", "Attempts that were accepted to run"),
    ended: counter(
      "sluice_agent_attempts_total",
      "Attempts that ended, by outcome: succeeded, failed_retryable, failed_fatal, flow_control, stopped, invalid or lost",
      "outcome",
    ),
    attemptSeconds: histogram(
      "sluice_agent_attempt_duration_seconds",
      "From the acceptance of an attempt to its end",
      [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 300, 3600],
    ),
    repeated: counter(
      "sluice_agent_dispatches_repeated_total",
      "Dispatches of attempts that had ended already: answered again, not run again",
    ),
    refused: counter("sluice_agent_dispatches_refused_total", "Dispatches that were refused, by reason", "reason"),
    roomQuestions: counter(
      "sluice_agent_room_answers_total",
      "Answers to owners of urgent tasks that ask for room: none, share (their account runs as much as those that could give), stopping (an attempt is told to stop), then kept (its slot)",
      "answer",
    ),
    slots: gauge("sluice_agent_slots_attempts", "Attempts that may run at the same time"),
    slotsUsed: gauge("sluice_agent_slots_used_attempts", "Attempts that run or wait for an instance"),
    tableEntries: gauge("sluice_agent_dedupe_table_attempts", "Attempts that run, or ended and are not confirmed"),
    tableBytes: gauge("sluice_agent_dedupe_table_bytes", "Outcomes that are not confirmed"),
    recovered: counter(
      "sluice_agent_attempts_recovered_total",
      "Attempts that were found lost with the last incarnation on this host",
    ),
    journalFailures: counter("sluice_agent_journal_failures_total", "Writes of the journal that failed"),
    streams: gauge("sluice_agent_attach_open_streams", "Open streams of schedulers"),
    streamsStalled: counter(
      "sluice_agent_attach_stalled_streams_total",
      "Streams that were ended because their reader was too slow",
    ),
    attached: counter(
      "sluice_agent_attach_partitions_total",
      "Partitions in attach frames, by answer: attached, refused, or incarnation (another one was meant)",
      "answer",
    ),
    frames: counter(
      "sluice_agent_report_frames_total",
      "Frames to schedulers, by kind: attached, started, ended, refused or status",
      "kind",
    ),
    heartbeats: counter(
      "sluice_agent_heartbeats_total",
      "Heartbeats, by answer: valid, invalid, dead or failed",
      "answer",
    ),
    fences: counter("sluice_agent_fences_total", "Times that everything was killed because the agent may be dead"),
    logBytes: counter("sluice_agent_log_stored_bytes_total", "Bytes of logs that were stored"),
    logDropped: counter(
      "sluice_agent_log_dropped_bytes_total",
      "Bytes of logs that were dropped, by reason: attempt_bound, buffer_full or refused",
      "reason",
    ),
    logFailures: counter("sluice_agent_log_call_failures_total", "Calls to store logs that failed and are repeated"),
  };
}
