// Logs of attempts on their way to the api-servers.
//
//   idle ──write──▶ collecting ──`logFlushEveryMs` passed, `logFlushBytes` there, attempt over──▶ sending ──all stored──▶ idle
//                                                                                           │  ▲
//                                                                                           └──┘ failed: back-off, again
//
// Output is cut into numbered pieces. A piece that was sent once never changes, so that a repeated call stores nothing
// twice. Everything is bounded: the log of one attempt, and all logs that wait; what does not fit is dropped with a mark.
import { type Clock, createWake, isRetryable, type Random, type Wake } from "@sluice/core";
import type { AgentGatewayServiceService, Api } from "@sluice/protocol";
import type { Logger } from "@sluice/runtime";
import { callWithin } from "../call-within.ts";
import type { AgentConfig } from "../config.ts";
import type { AgentMetrics } from "../metrics.ts";
import { AttemptSink, type LogSink, type Piece, type SinkPort } from "./attempt-sink.ts";

export interface LogUploaderDeps {
  readonly config: AgentConfig;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: AgentMetrics;
  readonly gateway: Pick<Api<typeof AgentGatewayServiceService>, "putLogs">;
}

const backoffFirstMs = 200;
const backoffMaxMs = 5_000;
const streamNumbers = { stdout: 1, stderr: 2 } as const;

export class LogUploader {
  readonly #deps: LogUploaderDeps;
  readonly #written: Wake;
  readonly #full: Wake;
  /** To be sent, oldest first. */
  #waiting: Piece[] = [];
  #waitingBytes = 0;
  #sendingBytes = 0;

  /** One for all attempts, without a closure for each. */
  readonly #port: SinkPort;

  constructor(deps: LogUploaderDeps) {
    this.#deps = deps;
    this.#written = createWake(deps.clock);
    this.#full = createWake(deps.clock);
    const { config, clock, metrics } = deps;
    this.#port = {
      clock,
      bytesMax: config.logAttemptBytesMax,
      pieceBytesMax: config.logPieceBytesMax,
      hasRoom: (bytes) => this.#waitingBytes + this.#sendingBytes + bytes <= config.logBufferBytesMax,
      onPiece: (piece) => this.#waiting.push(piece),
      onBytes: (bytes) => this.#grow(bytes),
      onEnd: () => this.#full.notify(),
      onDropped: (bytes, reason) => metrics.logDropped.inc({ reason }, bytes),
    };
  }

  open(ref: Piece["ref"]): LogSink {
    return new AttemptSink(ref, this.#port);
  }

  /** Whether everything that was written is stored. */
  get isEmpty(): boolean {
    return this.#waiting.length === 0 && this.#sendingBytes === 0;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { logFlushBytes, logFlushEveryMs } = this.#deps.config;
    while (!signal.aborted) {
      await this.#written.wait(signal);
      if (this.#waitingBytes < logFlushBytes) await this.#full.wait(signal, logFlushEveryMs);
      while (this.#waiting.length > 0 && !signal.aborted) await this.#store(this.#take(), signal);
    }
  }

  #grow(bytes: number): void {
    this.#waitingBytes += bytes;
    this.#written.notify();
    if (this.#waitingBytes >= this.#deps.config.logFlushBytes) this.#full.notify();
  }

  /** The oldest pieces, as many as one call may carry. */
  #take(): Piece[] {
    let bytes = 0;
    let count = 0;
    for (const piece of this.#waiting) {
      if (count > 0 && bytes + piece.bytes > this.#deps.config.logCallBytesMax) break;
      bytes += piece.bytes;
      count++;
    }
    const taken = this.#waiting.slice(0, count);
    this.#waiting = this.#waiting.slice(count);
    for (const piece of taken) piece.isCut = true;
    this.#waitingBytes -= bytes;
    this.#sendingBytes = bytes;
    return taken;
  }

  /** Returns when the pieces are stored, cannot be stored, or the signal aborts. */
  async #store(pieces: readonly Piece[], signal: AbortSignal): Promise<void> {
    const { config, clock, random, log, metrics, gateway } = this.#deps;
    const request = { joinToken: config.joinToken, pieces: pieces.map(wirePiece) };
    for (let backoffMs = backoffFirstMs; !signal.aborted; backoffMs = Math.min(2 * backoffMs, backoffMaxMs)) {
      try {
        await callWithin({ clock, ms: config.logCallTimeoutMs, signal }, (limit) =>
          gateway.putLogs(request, { signal: limit }),
        );
        metrics.logBytes.inc(this.#sendingBytes);
        break;
      } catch (cause) {
        if (signal.aborted) break;
        if (!isRetryable(cause)) {
          log.error("logs were refused and are dropped", { pieces: pieces.length, cause: String(cause) });
          metrics.logDropped.inc({ reason: "refused" }, this.#sendingBytes);
          break;
        }
        metrics.logFailures.inc();
        log.warn("cannot store logs, trying again", { pieces: pieces.length, cause: String(cause) });
        await clock.sleep(backoffMs * random.next(), signal);
      }
    }
    this.#sendingBytes = 0;
  }
}

function wirePiece({ ref, index, stream, timeMs, chunks }: Piece) {
  const [only] = chunks;
  const data =
    chunks.length === 1 && only ? Buffer.from(only.buffer, only.byteOffset, only.byteLength) : Buffer.concat(chunks);
  return { ...ref, index, stream: streamNumbers[stream], timeMs, data };
}
