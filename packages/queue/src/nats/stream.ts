// Loop: keeps the stream.
//
//   unknown ──exists or created, as configured──▶ verified ──5 s──▶ verified
//      ▲                                              │
//      └──── the connection was lost, or did not answer twice ────┘
//
// Whoever misses the stream creates it: this loop, a publisher, or the owner of a consumer. What was in it is announced
// again by the sweepers.
import { type Clock, createWake, type Random, type SettableHealthSignal } from "@sluice/core";
import type { Logger } from "@sluice/runtime";
import { apiCode, isApiError, type StreamConfig, type StreamInfo } from "./api.ts";
import { payloadBytesMax } from "./block-codec.ts";
import type { Connection, Session } from "./connection.ts";
import { createFullness, type Fullness } from "./fullness.ts";
import type { NatsMetrics } from "./metrics.ts";
import { Shared } from "./shared.ts";
import { streamName, streamSubject } from "./subjects.ts";

export interface TaskStreamOptions {
  readonly connection: Connection;
  readonly health: SettableHealthSignal;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: NatsMetrics;
  readonly replicas: 1 | 3;
  readonly blocksMax: number;
  readonly bytesMax: number;
}

const verifyEveryMs = 5_000;
/** While it is fuller than that. */
const fullFrom = 0.5;
const verifyFullEveryMs = 1_000;
const retryMs = { first: 100, max: 2_000 };
/**
 * A server denies that a stream exists before it has removed its files, and nats-server 2.9 removes those of a new one of the
 * same name, too: what is published is then neither delivered nor announced as lost.
 */
export const deletionMs = 500;
/** One answer that is late says little on a busy machine. */
const failuresMax = 2;

export class TaskStream {
  readonly fullness: Fullness;
  readonly #options: TaskStreamOptions;
  #ensured: { readonly session: Session; readonly info: Shared<StreamInfo> } | undefined;

  /** It has existed: when it is missing, somebody deleted it. */
  #isKnown = false;

  constructor(options: TaskStreamOptions) {
    this.#options = options;
    this.fullness = createFullness(options.clock);
  }

  /** Creates the stream if it is missing, and corrects what differs from what we rely on. */
  ensure(session: Session): Promise<StreamInfo> {
    if (this.#ensured?.session !== session) {
      this.#ensured = { session, info: new Shared(() => this.#learn(session)) };
    }
    return this.#ensured.info.run();
  }

  async run(signal: AbortSignal): Promise<void> {
    const { connection, health, clock, random, log, metrics } = this.#options;
    const wake = createWake(clock);
    const setUp = (isUp: boolean) => {
      health.set(isUp);
      metrics.up.set(isUp ? 1 : 0);
    };
    const stopWatching = connection.watch(() => {
      if (connection.session === undefined) setUp(false);
      wake.notify();
    });
    let failures = 0;
    while (!signal.aborted) {
      const { session } = connection;
      if (session === undefined) {
        failures = 0;
        await wake.wait(signal);
        continue;
      }
      let pauseMs = verifyEveryMs;
      try {
        await this.ensure(session);
        const share = this.fullness.share() ?? 0;
        metrics.fullness.set(share);
        if (share > fullFrom) pauseMs = verifyFullEveryMs;
        if (failures >= failuresMax) log.info("the stream answers again", { stream: streamName });
        failures = 0;
        if (connection.session === session) setUp(true);
      } catch (cause) {
        failures += 1;
        pauseMs = Math.min(retryMs.max, retryMs.first * 2 ** failures);
        if (failures === failuresMax && connection.session === session) {
          setUp(false);
          log.warn("the stream does not answer; trying again", { stream: streamName, cause: String(cause) });
        }
      }
      await wake.wait(signal, pauseMs * (0.5 + random.next() / 2));
    }
    stopWatching();
    setUp(false);
  }

  async #learn(session: Session): Promise<StreamInfo> {
    const info = await this.#ensure(session);
    this.fullness.learn(info);
    return info;
  }

  async #ensure(session: Session): Promise<StreamInfo> {
    const { clock, log, metrics } = this.#options;
    const wanted = this.#config();
    let info: StreamInfo;
    try {
      info = await session.api.stream();
    } catch (error) {
      if (!isApiError(error, apiCode.streamNotFound)) throw error;
      if (this.#isKnown) await clock.sleep(deletionMs);
      info = await session.api.createStream(wanted);
      this.#isKnown = true;
      metrics.recreatedStreams.inc();
      log.info("created the stream", { stream: streamName, replicas: wanted.num_replicas });
      return info;
    }
    this.#isKnown = true;
    // Its caps are set when it is created; an operator may change them.
    const { subjects, retention, storage, discard, num_replicas } = wanted;
    const relied = { subjects, retention, storage, discard, num_replicas };
    if (isSame(relied, info.config)) return info;
    log.warn("the stream is not as configured; correcting it", { stream: streamName });
    return session.api.updateStream({ ...info.config, ...relied });
  }

  #config(): StreamConfig {
    const { replicas, blocksMax, bytesMax } = this.#options;
    return {
      name: streamName,
      subjects: [streamSubject],
      // A message goes when it is acked, and no two consumers may have the same one: the server refuses the second.
      retention: "workqueue",
      storage: "file",
      // Refuses publishes when it is full, instead of dropping what waits longest.
      discard: "new",
      num_replicas: replicas,
      max_msgs: blocksMax,
      max_bytes: bytesMax,
      // With room for the longest block of a later version.
      max_msg_size: 4 * payloadBytesMax,
    };
  }
}

function isSame(relied: object, config: StreamConfig): boolean {
  const actual: Readonly<Record<string, unknown>> = { ...config };
  return Object.entries(relied).every(([name, value]) => JSON.stringify(actual[name]) === JSON.stringify(value));
}
