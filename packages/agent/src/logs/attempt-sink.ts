import type { Clock, EpochMs } from "@sluice/core";
import type { AttemptRef } from "@sluice/protocol";

export type OutputStream = "stdout" | "stderr";

/** Where the output of one attempt goes. */
export interface LogSink {
  write(stream: OutputStream, chunk: Uint8Array): void;
  /** The attempt has ended; nothing more is written. */
  end(): void;
}

/** Consecutive output of one stream of an attempt. */
export interface Piece {
  readonly ref: Pick<AttemptRef, "seq" | "attempt">;
  /** From 0, without gaps. */
  readonly index: number;
  readonly stream: OutputStream;
  /** When its first byte was written. */
  readonly timeMs: EpochMs;
  readonly chunks: Uint8Array[];
  bytes: number;
  /** Sent, or about to be: it must not change any more. */
  isCut: boolean;
}

/** What the sinks of all attempts share. */
export interface SinkPort {
  readonly clock: Clock;
  /** Beyond it the log of one attempt is cut off. */
  readonly bytesMax: number;
  readonly pieceBytesMax: number;
  /** Whether so many bytes may still wait to be sent. */
  hasRoom(bytes: number): boolean;
  /** A piece has begun; it grows until it is cut. */
  onPiece(piece: Piece): void;
  onBytes(bytes: number): void;
  /** An attempt that wrote something has ended. */
  onEnd(): void;
  onDropped(bytes: number, reason: "attempt_bound" | "buffer_full"): void;
}

/** Cuts the output of an attempt into pieces. */
export class AttemptSink implements LogSink {
  readonly #ref: Piece["ref"];
  readonly #port: SinkPort;
  #last: Piece | undefined;
  #nextIndex = 0;
  #bytes = 0;
  /** Dropped since the last mark because too much waits. */
  #dropped = 0;

  constructor({ seq, attempt }: Piece["ref"], port: SinkPort) {
    this.#ref = { seq, attempt };
    this.#port = port;
  }

  write(stream: OutputStream, chunk: Uint8Array): void {
    const port = this.#port;
    const { bytesMax, pieceBytesMax } = port;
    if (chunk.byteLength === 0) return;
    const left = bytesMax - this.#bytes;
    this.#bytes += chunk.byteLength;
    if (chunk.byteLength > left) port.onDropped(chunk.byteLength - Math.max(0, left), "attempt_bound");
    if (left < 0) return;
    const kept = chunk.subarray(0, left);
    if (!port.hasRoom(kept.byteLength)) {
      this.#dropped += kept.byteLength;
      port.onDropped(kept.byteLength, "buffer_full");
      return;
    }
    this.#markDropped(stream);
    for (let from = 0; from < kept.byteLength; from += pieceBytesMax) {
      this.#append(stream, kept.subarray(from, from + pieceBytesMax));
    }
    if (this.#bytes > bytesMax) this.#mark(stream, `the log of this attempt is cut off: it exceeds ${bytesMax} bytes`);
  }

  end(): void {
    this.#markDropped("stdout");
    // Whoever waits for the task looks at its log next.
    if (this.#nextIndex > 0) this.#port.onEnd();
  }

  /** A mark is small, so it is kept even when there is no room. */
  #markDropped(stream: OutputStream): void {
    if (this.#dropped > 0)
      this.#mark(stream, `${this.#dropped} bytes of the log were dropped: they could not be stored`);
    this.#dropped = 0;
  }

  #mark(stream: OutputStream, text: string): void {
    this.#append(stream, Buffer.from(`\n[${text}]\n`));
  }

  #append(stream: OutputStream, chunk: Uint8Array): void {
    const last = this.#last;
    if (last && !last.isCut && last.stream === stream && last.bytes + chunk.byteLength <= this.#port.pieceBytesMax) {
      last.chunks.push(chunk);
      last.bytes += chunk.byteLength;
    } else {
      this.#last = this.#begin(stream, chunk);
      this.#port.onPiece(this.#last);
    }
    this.#port.onBytes(chunk.byteLength);
  }

  #begin(stream: OutputStream, chunk: Uint8Array): Piece {
    const index = this.#nextIndex++;
    const timeMs = this.#port.clock.now();
    return { ref: this.#ref, index, stream, timeMs, chunks: [chunk], bytes: chunk.byteLength, isCut: false };
  }
}
