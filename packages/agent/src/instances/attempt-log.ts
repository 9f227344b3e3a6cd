import type { Invocation } from "./pool.ts";

export type OutputStream = "stdout" | "stderr";

const newline = 10;

/** The log of one attempt: what its handler prints, between the platform's markers, up to a bound. */
export class AttemptLog {
  readonly #onLog: Invocation["onLog"];
  readonly #bytesMax: number;
  #bytes = 0;
  #endsWithNewline = true;

  constructor(onLog: Invocation["onLog"], bytesMax: number) {
    this.#onLog = onLog;
    this.#bytesMax = bytesMax;
  }

  /** Nothing more of the handler's output is kept. */
  get isTruncated(): boolean {
    return this.#bytes > this.#bytesMax;
  }

  write(stream: OutputStream, chunk: Uint8Array): void {
    if (this.isTruncated || chunk.byteLength === 0) return;
    const room = this.#bytesMax - this.#bytes;
    this.#bytes += chunk.byteLength;
    const kept = chunk.byteLength <= room ? chunk : chunk.subarray(0, room);
    if (kept.byteLength > 0) this.#emit(stream, kept);
    if (this.isTruncated) this.mark(`[the log of this attempt is cut off: it exceeds ${this.#bytesMax} bytes]`);
  }

  /** A line of the platform. Always kept: the end of an attempt must show even after a flood. */
  mark(line: string): void {
    this.#emit("stdout", Buffer.from(`${this.#endsWithNewline ? "" : "\n"}${line}\n`));
  }

  #emit(stream: OutputStream, chunk: Uint8Array): void {
    this.#endsWithNewline = chunk.at(-1) === newline;
    this.#onLog(stream, chunk);
  }
}
