import type { Invocation } from "./pool.ts";

export type OutputStream = "stdout" | "stderr";

const newline = 10;

/**
 * The log of one attempt: what its handler prints, between the platform's markers, up to a bound. An attempt that prints
 * nothing and succeeds has no log: its markers would say nothing that the timeline does not, and storing them cost as much
 * as all the rest of a short task.
 */
export class AttemptLog {
  readonly #onLog: Invocation["onLog"];
  readonly #bytesMax: number;
  #bytes = 0;
  #endsWithNewline = true;
  /** The start marker, until something follows it. */
  #opening: string | undefined;

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

  /** The marker of the start; kept back until there is more to say. */
  open(line: string): void {
    this.#opening = line;
  }

  /** The marker of the end; left out if it would be all there is. */
  close(line: string, options: { readonly hasFailed: boolean }): void {
    if (this.#opening === undefined || options.hasFailed) this.mark(line);
  }

  /** A line of the platform. Always kept: the end of an attempt must show even after a flood. */
  mark(line: string): void {
    this.#emit("stdout", Buffer.from(`${this.#endsWithNewline ? "" : "\n"}${line}\n`));
  }

  #emit(stream: OutputStream, chunk: Uint8Array): void {
    if (this.#opening !== undefined) {
      const opening = Buffer.from(`${this.#opening}\n`);
      this.#opening = undefined;
      this.#onLog("stdout", opening);
    }
    this.#endsWithNewline = chunk.at(-1) === newline;
    this.#onLog(stream, chunk);
  }
}
