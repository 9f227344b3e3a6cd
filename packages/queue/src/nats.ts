// The queue and the signals of a cluster, on NATS: JetStream for blocks, plain messages for hints. `README.md` tells how the
// server is used, and what it does that the driver must make good.
import { type Clock, createHealthSignal, type HealthSignal, type Random, runAll, type TlsFiles } from "@sluice/core";
import type { Logger } from "@sluice/runtime";
import type { Registry } from "prom-client";
import { ackWaitDefaultMs, type Signals, type TaskQueue } from "./index.ts";
import { Connection } from "./nats/connection.ts";
import { natsMetrics } from "./nats/metrics.ts";
import { Publisher } from "./nats/publisher.ts";
import { NatsQueue } from "./nats/queue.ts";
import { NatsSignals } from "./nats/signals.ts";
import { TaskStream } from "./nats/stream.ts";

export { type NatsMetrics, natsMetrics } from "./nats/metrics.ts";

export interface NatsOptions {
  /** `host:port` of each. */
  readonly servers: readonly string[];
  /** Servers that keep each block; default 1. With 3, one of them may fail. */
  readonly replicas?: 1 | 3;
  readonly tls?: TlsFiles;
  readonly credentials?: { readonly user: string; readonly password: string };
  /** How long a delivered block stays invisible without renewal; default 30 s. */
  readonly ackWaitMs?: number;
  /** Blocks that the stream takes when it is created here; more are refused. Default one million. */
  readonly blocksMax?: number;
  /** Bytes that the stream takes when it is created here; the server sets them aside. Default 1 GiB. */
  readonly bytesMax?: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly registry: Registry;
}

export interface Nats extends AsyncDisposable {
  readonly queue: TaskQueue;
  readonly signals: Signals;
  /** Up while a server is connected and the stream answers. */
  readonly health: HealthSignal;
}

/**
 * Returns at once and connects by itself, again and again. While no server is connected, publishing and opening reject with
 * `QUEUE_UNAVAILABLE`, pulls wait, and hints are lost.
 */
export function openNats(options: NatsOptions): Nats {
  const { clock, random, log, registry, replicas = 1, ackWaitMs = ackWaitDefaultMs } = options;
  const { blocksMax = 1_000_000, bytesMax = 2 ** 30 } = options;
  const metrics = natsMetrics(registry);
  const health = createHealthSignal();
  const connection = new Connection(options, { clock, random: random.fork("connection"), log, metrics });
  const deps = { connection, clock, log, metrics, replicas };
  const stream = new TaskStream({ ...deps, health, random: random.fork("stream"), blocksMax, bytesMax });
  const publisher = new Publisher({ ...deps, stream, random: random.fork("publisher") });
  const queue = new NatsQueue({ ...deps, stream, publisher, health, random: random.fork("consumers"), ackWaitMs });
  const signals = new NatsSignals(deps);
  const stop = new AbortController();
  const running = runAll(
    stop.signal,
    (signal) => stream.run(signal),
    (signal) => connection.run(signal),
  );
  return {
    queue,
    signals,
    health,
    async [Symbol.asyncDispose]() {
      await queue[Symbol.asyncDispose]();
      await signals[Symbol.asyncDispose]();
      stop.abort();
      await running;
    },
  };
}
