import { Counter, Gauge, Histogram, type Registry } from "prom-client";

/** Every metric of the NATS driver; `docs/metrics.md` explains them. */
export function natsMetrics(registry: Registry) {
  const registers = [registry];
  const counter = <L extends string = never>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Counter<L>({ name: `sluice_nats_${name}`, help, labelNames: [...labelNames], registers });
  return {
    up: new Gauge({
      name: "sluice_nats_up_state",
      help: "1 while a server is connected and the stream answers.",
      registers,
    }),
    fullness: new Gauge({
      name: "sluice_nats_stream_fullness_ratio",
      help: "Share of what the stream may hold, in blocks or bytes, whichever is fuller; some seconds old.",
      registers,
    }),
    reconnects: counter("reconnects_total", "Connections after the first one."),
    published: counter("published_blocks_total", "Blocks that the stream has stored."),
    publishFailures: counter("publish_failures_total", "Publishes that may not have been stored, by cause.", ["cause"]),
    publishDuration: new Histogram({
      name: "sluice_nats_publish_duration_seconds",
      help: "Time of a publish, from the call to the last acknowledgement.",
      buckets: [0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3],
      registers,
    }),
    redelivered: counter(
      "redelivered_blocks_total",
      "Blocks delivered again by the same consumer: nobody renewed them.",
    ),
    undecodable: counter("undecodable_messages_total", "Messages that are no blocks; they are removed."),
    recreatedStreams: counter("recreated_streams_total", "Times that the stream was missing and was created."),
    recreatedConsumers: counter(
      "recreated_consumers_total",
      "Consumers created anew under their epoch, so that all that is not acked is delivered again, by cause.",
      ["cause"],
    ),
    ghosts: counter(
      "ghost_blocks_total",
      "Blocks that a server had stored although they were acked; they are delivered and acked again.",
    ),
    droppedHints: counter("dropped_hints_total", "Hints that were not sent, by cause: away or too long.", ["cause"]),
  };
}
export type NatsMetrics = ReturnType<typeof natsMetrics>;
