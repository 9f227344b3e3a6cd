// Publishes blocks: plain messages whose acknowledgements are counted per chunk. 6 µs of CPU a message; the library's
// `js.publish` takes 50.
//
//   chunk ──sent──▶ in flight ──all acknowledged──▶ stored
//             ▲         ├──refused, deadline, connection lost──▶ failed: all or some may be stored
//             └─────────┴──nobody listens: the stream is missing──▶ it is created, and the chunk is sent again
import { AppError, assert, type Clock, laneCount, type Random } from "@sluice/core";
import type { Msg } from "nats";
import { type Block, blockSizeMax } from "../index.ts";
import { ApiError, apiCode, type ErrorAnswer } from "./api.ts";
import { encodeBlock } from "./block-codec.ts";
import type { Connection, Session } from "./connection.ts";
import { away, full, late, unavailable } from "./failures.ts";
import { inTime } from "./in-time.ts";
import type { NatsMetrics } from "./metrics.ts";
import { hasNoResponders } from "./replies.ts";
import { Room } from "./room.ts";
import type { TaskStream } from "./stream.ts";
import { checkQueueName, subjectOf } from "./subjects.ts";

export interface PublisherOptions {
  readonly connection: Connection;
  readonly stream: TaskStream;
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: NatsMetrics;
}

const deadlineMs = 5_000;
const chunkMax = 256;
/** Messages without an acknowledgement, of all publishes together: enough for the rate, and bounds what a server buffers. */
const inFlightMax = 2_048;
const retryMs = 100;

/** All chunks of one call. */
interface Batch {
  /** On the monotonic clock. */
  readonly giveUpAt: number;
  failure: AppError | undefined;
}

export class Publisher {
  readonly #options: PublisherOptions;
  readonly #room = new Room(inFlightMax);

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  /** Rejects at once while no server is connected, and after 5 s at the latest. */
  async publish(blocks: readonly Block[]): Promise<void> {
    const { clock, metrics } = this.#options;
    for (const block of blocks) check(block);
    const startedAt = clock.monotonic();
    const batch: Batch = { giveUpAt: startedAt + deadlineMs, failure: undefined };
    const sending: Promise<void>[] = [];
    for (let start = 0; start < blocks.length && batch.failure === undefined; start += chunkMax) {
      const chunk = blocks.slice(start, start + chunkMax);
      await this.#room.enter(chunk.length);
      sending.push(this.#send(chunk, batch));
    }
    await Promise.all(sending);
    if (batch.failure !== undefined) {
      metrics.publishFailures.inc({ cause: causeOf(batch.failure) });
      throw batch.failure;
    }
    metrics.publishDuration.observe((clock.monotonic() - startedAt) / 1_000);
  }

  /** Keeps the first failure in the batch instead of rejecting: the other chunks must be waited for, too. */
  async #send(chunk: readonly Block[], batch: Batch): Promise<void> {
    try {
      await this.#store(chunk, batch);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      batch.failure ??= error;
    } finally {
      this.#room.leave(chunk.length);
    }
  }

  async #store(chunk: readonly Block[], batch: Batch): Promise<void> {
    const { connection, stream, clock, random, metrics } = this.#options;
    while (batch.failure === undefined) {
      const { session } = connection;
      if (session === undefined) throw away();
      const leftMs = batch.giveUpAt - clock.monotonic();
      if (leftMs <= 0) throw late(deadlineMs);
      if ((await offer(session, chunk, leftMs)) === "stored") {
        metrics.published.inc(chunk.length);
        stream.fullness.add(chunk.length);
        return;
      }
      await inTime(clock, batch.giveUpAt - clock.monotonic(), stream.ensure(session));
      // One that exists and yet does not listen has no leader just now.
      await clock.sleep(retryMs * random.next());
    }
  }
}

function offer(session: Session, chunk: readonly Block[], leftMs: number): Promise<"stored" | "no stream"> {
  return new Promise((settle, reject) => {
    let missing = chunk.length;
    const expected = session.replies.expect({ hear, fail: reject }, leftMs);
    function hear(message: Msg): void {
      const refusal = refusalOf(message);
      if (refusal === undefined) {
        missing -= 1;
        if (missing > 0) return;
      }
      expected.cancel();
      if (refusal === undefined) settle("stored");
      else if (refusal === "no stream") settle(refusal);
      else reject(refusal);
    }
    try {
      for (const block of chunk) {
        session.connection.publish(subjectOf(block), encodeBlock(block), { reply: expected.subject });
      }
    } catch (cause) {
      expected.cancel();
      reject(unavailable("the connection to NATS is closed", cause));
    }
  });
}

const acknowledged = Buffer.from('{"stream"');

/** An acknowledgement begins with its stream, a refusal with its error: so the usual case needs no JSON. */
function refusalOf(message: Msg): AppError | "no stream" | undefined {
  const { data } = message;
  if (acknowledged.equals(data.subarray(0, acknowledged.length))) return undefined;
  if (hasNoResponders(message)) return "no stream";
  const error = errorIn(message);
  if (error === undefined) return undefined;
  if (error.err_code === apiCode.storeFailed) return full(error.description ?? "");
  return new ApiError("publish", error);
}

function errorIn(message: Msg): ErrorAnswer | undefined {
  try {
    return message.json<{ readonly error?: ErrorAnswer }>().error;
  } catch {
    return { description: "an acknowledgement that is not JSON" };
  }
}

function causeOf(error: AppError): "late" | "full" | "refused" | "away" {
  if (error.code === "timeout") return "late";
  if (error.code === "exhausted") return "full";
  return error instanceof ApiError ? "refused" : "away";
}

function check({ queue, lane, seqs, enqueuedAt }: Block): void {
  checkQueueName(queue);
  const isNumber = (value: number) => value >= 0 && value <= Number.MAX_SAFE_INTEGER;
  assert(
    seqs.every((seq) => isNumber(seq) && Number.isInteger(seq)),
    "a task has a number from 0 to 2^53 - 1",
  );
  assert(isNumber(enqueuedAt), `not a time: ${enqueuedAt}`);
  assert(seqs.length >= 1 && seqs.length <= blockSizeMax, `a block holds 1 to ${blockSizeMax} numbers`);
  assert(Number.isInteger(lane) && lane >= 0 && lane < laneCount, `not a lane: ${lane}`);
}
