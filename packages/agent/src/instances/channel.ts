import type { Readable } from "node:stream";
import type { Clock } from "@sluice/core";
import type { OutputStream } from "./attempt-log.ts";
import { type Frame, FrameReader, FrameWriter } from "./frames.ts";
import type { Launched } from "./launch.ts";

export interface ChannelEvents {
  /** Something is about to be written to the runner. */
  onSend(): void;
  onFrame(frame: Frame): void;
  /** Answers whether anybody kept the output. */
  onOutput(stream: OutputStream, chunk: Buffer): boolean;
  /** The runner's pipe carries nonsense. */
  onViolation(error: unknown): void;
}

export interface ChannelOptions {
  readonly launched: Launched;
  readonly clock: Clock;
  readonly frameBytesMax: number;
  /** Whether several requests run at a time, so that their frames can share a write. */
  readonly isShared: boolean;
  readonly events: ChannelEvents;
}

// Output that nobody keeps is still read, else a handler that logs too much would hang; but slowly (25 MB/s), else it
// would cost the agent a core.
const discardedBytesPerPause = 256 * 1024;
const pauseMs = 10;

/** The pipes of one instance. */
export class Channel {
  /** Resolves when the process has ended; its pipes may still hold output. */
  readonly exited: Promise<void>;
  readonly #closed: Promise<void>;
  readonly #launched: Launched;
  readonly #clock: Clock;
  readonly #writer: FrameWriter;
  #discardedBytes = 0;

  constructor({ launched, clock, frameBytesMax, isShared, events }: ChannelOptions) {
    const { child, stdout, stderr, fromRunner, toRunner } = launched;
    this.#launched = launched;
    this.#clock = clock;
    const write = (bytes: Buffer) => {
      events.onSend();
      toRunner.write(bytes);
    };
    this.#writer = new FrameWriter(write, { joins: isShared });
    this.exited = new Promise((resolve) => {
      child.once("exit", () => resolve());
      // Could not be started at all.
      child.once("error", () => resolve());
    });
    this.#closed = new Promise((resolve) => child.once("close", () => resolve()));
    const reader = new FrameReader(frameBytesMax);
    fromRunner.on("data", (chunk: Buffer) => {
      try {
        for (const frame of reader.read(chunk)) events.onFrame(frame);
      } catch (error) {
        fromRunner.removeAllListeners("data").resume();
        events.onViolation(error);
      }
    });
    stdout.on("data", (chunk: Buffer) => this.#count(stdout, events.onOutput("stdout", chunk), chunk));
    stderr.on("data", (chunk: Buffer) => this.#count(stderr, events.onOutput("stderr", chunk), chunk));
  }

  send(frame: Buffer): void {
    this.#writer.send(frame);
  }

  /**
   * Resolves when all output that was in the pipes has been read. A result travels on another pipe than the output
   * before it, so both may become readable in one turn of the event loop, in any order; after one more whole turn
   * nothing older than the result can be left.
   */
  async drained(): Promise<void> {
    this.#launched.stdout.resume();
    this.#launched.stderr.resume();
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  }

  /** Resolves when everything that the ended process had written is read, or after `ms`. */
  async closed(ms: number): Promise<void> {
    for (const stream of [this.#launched.stdout, this.#launched.stderr]) stream.resume();
    const cancel = new AbortController();
    await Promise.race([this.#closed, this.#clock.sleep(ms, cancel.signal)]);
    cancel.abort();
    for (const stream of this.#launched.child.stdio) stream?.destroy();
  }

  #count(stream: Readable, wasKept: boolean, chunk: Buffer): void {
    if (wasKept) return;
    this.#discardedBytes += chunk.byteLength;
    if (this.#discardedBytes < discardedBytesPerPause) return;
    this.#discardedBytes = 0;
    stream.pause();
    this.#clock.timer(pauseMs, () => stream.resume());
  }
}
