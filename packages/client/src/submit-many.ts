import type { Answer } from "./answer.ts";
import { DuplicateTask, Rejected } from "./errors.ts";
import { addPatiently } from "./patience.ts";
import type { Prepared } from "./prepare.ts";
import type { Submitter } from "./submitter.ts";
import type { System } from "./system.ts";
import type { Accepted, Submission } from "./types.ts";

/** The answer about one task of many; `index` is its place in the input, from 0. */
export type SubmitResult =
  | ({ readonly ok: true; readonly index: number } & Accepted)
  | { readonly ok: false; readonly index: number; readonly taskId: string; readonly error: DuplicateTask | Rejected };

export interface SubmitManyOptions {
  readonly signal?: AbortSignal;
  /** Tasks taken from the input and not yet taken as results. Default: 10,000. */
  readonly inFlightTasksMax?: number;
  /** Their bytes, except that one task is always let through. Default: 16 MiB. */
  readonly inFlightBytesMax?: number;
}

export interface SubmitManyPorts {
  readonly submitter: Submitter;
  readonly prepare: (submission: Submission) => Prepared;
  readonly system: System;
  readonly retryTimeoutMs: number;
}

interface Slot {
  readonly index: number;
  readonly taskId: string;
  readonly bytes: number;
  result: SubmitResult | undefined;
  /** A failure of the whole, not an answer about this task. */
  failure: unknown;
  giveUp: () => void;
}

/**
 * Two loops share a window of slots: one fills it from the input while there is room, the other empties it in order. So a
 * slow server and a slow reader both hold up the input.
 */
export async function* submitMany(
  ports: SubmitManyPorts,
  source: Iterable<Submission> | AsyncIterable<Submission>,
  { signal, inFlightTasksMax = 10_000, inFlightBytesMax = 16 * 1024 * 1024 }: SubmitManyOptions,
): AsyncGenerator<SubmitResult, void, undefined> {
  const window = new Window(inFlightTasksMax, inFlightBytesMax);
  const onAbort = () => window.stop();
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    signal?.throwIfAborted();
    // It ends with the window; when this side leaves early, the input may still be busy making its next task.
    void fill(ports, window, source);
    for (;;) {
      const slot = await window.next();
      signal?.throwIfAborted();
      if (!slot) break;
      if (!slot.result) throw slot.failure;
      yield slot.result;
    }
    if (window.failure) throw window.failure.cause;
  } finally {
    signal?.removeEventListener("abort", onAbort);
    window.stop();
  }
}

/** Never rejects: a failure of the input is thrown to the reader after the results of what came before it. */
async function fill(ports: SubmitManyPorts, window: Window, source: Iterable<Submission> | AsyncIterable<Submission>) {
  try {
    let index = 0;
    for await (const submission of source) {
      if (!window.hasRoom()) await window.room();
      if (window.isStopped) return;
      submitInto(ports, window, submission, index);
      index += 1;
    }
    window.end();
  } catch (cause) {
    window.end({ cause });
  }
}

function submitInto(ports: SubmitManyPorts, window: Window, submission: Submission, index: number): void {
  const { system } = ports;
  let prepared: Prepared;
  try {
    prepared = ports.prepare(submission);
  } catch (cause) {
    const slot = window.add(index, submission.taskId ?? "", 0);
    if (cause instanceof Rejected) slot.result = { ok: false, index, taskId: slot.taskId, error: cause };
    else slot.failure = cause;
    window.settled(slot);
    return;
  }
  const slot = window.add(index, prepared.wire.taskId, prepared.bytes);
  const settle = (answer: Answer) => {
    if (answer.ok) {
      slot.result = { ok: true, index, taskId: answer.taskId, repeated: answer.repeated };
      window.acceptedAt = system.monotonic();
    } else if (answer.error instanceof DuplicateTask || answer.error instanceof Rejected) {
      slot.result = { ok: false, index, taskId: slot.taskId, error: answer.error };
    } else slot.failure = answer.error;
    window.settled(slot);
  };
  const startedAt = system.monotonic();
  // Bulk work has patience while it goes on at all: a fair share of a busy queue may be small.
  const until = () => Math.max(startedAt, window.acceptedAt) + ports.retryTimeoutMs;
  slot.giveUp = addPatiently(ports, prepared, { until, settle });
}

/** Slots in the order of the input. */
class Window {
  readonly #tasksMax: number;
  readonly #bytesMax: number;
  #slots: Slot[] = [];
  #first = 0;
  #bytes = 0;
  #hasEnded = false;
  #wakeFiller: (() => void) | undefined;
  #wakeReader: (() => void) | undefined;
  isStopped = false;
  /** When something was accepted last, in monotonic ms. */
  acceptedAt = 0;
  failure: { readonly cause: unknown } | undefined;

  constructor(tasksMax: number, bytesMax: number) {
    this.#tasksMax = tasksMax;
    this.#bytesMax = bytesMax;
  }

  hasRoom(): boolean {
    const tasks = this.#slots.length - this.#first;
    return this.isStopped || tasks === 0 || (tasks < this.#tasksMax && this.#bytes < this.#bytesMax);
  }

  async room(): Promise<void> {
    while (!this.hasRoom()) {
      await new Promise<void>((resolve) => {
        this.#wakeFiller = resolve;
      });
    }
  }

  add(index: number, taskId: string, bytes: number): Slot {
    const slot: Slot = { index, taskId, bytes, result: undefined, failure: undefined, giveUp: () => {} };
    this.#slots.push(slot);
    this.#bytes += bytes;
    return slot;
  }

  settled(slot: Slot): void {
    if (this.#slots[this.#first] === slot) this.#wakeReader?.();
  }

  /** No more slots will come. */
  end(failure?: { readonly cause: unknown }): void {
    this.failure = failure;
    this.#hasEnded = true;
    this.#wakeReader?.();
  }

  /** Takes the first slot once it is settled; undefined: there are no more. */
  async next(): Promise<Slot | undefined> {
    for (;;) {
      const slot = this.#slots[this.#first];
      if (this.isStopped || (!slot && this.#hasEnded)) return undefined;
      if (slot && (slot.result || slot.failure)) {
        this.#drop(slot);
        return slot;
      }
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve;
      });
    }
  }

  #drop(slot: Slot): void {
    this.#first += 1;
    this.#bytes -= slot.bytes;
    if (this.#first * 2 >= this.#slots.length) {
      this.#slots = this.#slots.slice(this.#first);
      this.#first = 0;
    }
    if (this.hasRoom()) this.#wakeFiller?.();
  }

  /** Gives up what has no answer; what was not sent is not sent any more. */
  stop(): void {
    this.isStopped = true;
    for (const slot of this.#slots.slice(this.#first)) slot.giveUp();
    this.#slots = [];
    this.#first = 0;
    this.#wakeFiller?.();
    this.#wakeReader?.();
  }
}
