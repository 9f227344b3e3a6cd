// The fast path: many batches in flight on one stream.
//
//   reading ──window full──▶ waiting for an answer to be taken ──▶ reading
//      └──the caller is done, the server stops, or a batch failed──▶ draining ──all answered──▶ ended
//
// A batch leaves the window when its answer was taken: a caller that does not read answers stops its own reading.
import { AppError, type Clock, createChannel } from "@sluice/core";
import type { Api, CallContext, SubmitStreamRequest, SubmitStreamResponse, TaskServiceService } from "@sluice/protocol";
import type { Authenticate } from "../accounts/authenticate.ts";
import type { ApiServerConfig } from "../config.ts";
import { stoppingError } from "../stopping.ts";
import { createBudget, type Release } from "./budget.ts";
import { bytesOf, type Submit, type Submitted } from "./submit.ts";
import { pathInBatch, toResult } from "./submit-api.ts";

export interface SubmitStreamOptions {
  readonly authenticate: Authenticate;
  readonly submit: Submit;
  readonly clock: Clock;
  readonly config: Pick<ApiServerConfig, "streamBatchesMax" | "streamBytesMax">;
  /** Aborts when the server stops. */
  readonly stopping: AbortSignal;
}

interface Answer {
  readonly response: SubmitStreamResponse;
  readonly release: Release;
}

export function createSubmitStream(options: SubmitStreamOptions): Api<typeof TaskServiceService>["submitStream"] {
  const { streamBatchesMax, streamBytesMax } = options.config;

  return async function* submitStream(input, context) {
    await options.authenticate(context);
    const window = createBudget({ clock: options.clock, total: streamBytesMax });
    const answers = createChannel<Answer>(streamBatchesMax + 1);
    const ended = new AbortController();
    const signal = AbortSignal.any([context.signal, options.stopping, ended.signal]);
    let failure: unknown;

    async function answer(batch: SubmitStreamRequest, release: Release): Promise<void> {
      try {
        const results = await submitBatch(batch, context, options);
        answers.push({ response: { batchId: batch.batchId, results: results.map(toResult) }, release });
      } catch (cause) {
        failure ??= cause;
        ended.abort();
        release();
      }
    }
    async function read(): Promise<void> {
      const unanswered = new Set<Promise<void>>();
      try {
        for await (const batch of untilAborted(input, signal)) {
          // The smallest share bounds the number of batches too.
          const amount = Math.max(bytesOf(batch.tasks), streamBytesMax / streamBatchesMax);
          const release = await window.take(amount, { signal });
          if (release === undefined) break;
          const answering = answer(batch, release);
          unanswered.add(answering);
          void answering.finally(() => unanswered.delete(answering));
        }
      } catch (cause) {
        failure ??= cause;
      }
      await Promise.all(unanswered);
      answers.close();
    }

    const reading = read();
    try {
      for await (const { response, release } of answers) {
        yield response;
        release();
      }
      await reading;
    } finally {
      ended.abort();
    }
    if (failure !== undefined) throw failure;
    if (options.stopping.aborted) throw stoppingError();
  };
}

/** Refused for want of room, the batch is answered task by task and the stream goes on. */
async function submitBatch(
  batch: SubmitStreamRequest,
  context: CallContext,
  { authenticate, submit }: SubmitStreamOptions,
): Promise<readonly Submitted[]> {
  // Once more for each batch: a key may have been disabled since the stream began.
  const accountId = await authenticate(context);
  try {
    return await submit({ accountId, tasks: batch.tasks, pathOf: pathInBatch, signal: context.signal });
  } catch (error) {
    if (!(error instanceof AppError) || !["SERVER_BUSY", "TOO_MANY_TASKS"].includes(error.reason)) throw error;
    return batch.tasks.map(() => ({ kind: "rejected", error }));
  }
}

/** Ends when the signal aborts, also while the caller sends nothing. */
async function* untilAborted<T>(input: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  const iterator = input[Symbol.asyncIterator]();
  let onAbort: (() => void) | undefined;
  const aborted = new Promise<undefined>((resolve) => {
    onAbort = () => resolve(undefined);
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener("abort", onAbort, { once: true });
  });
  try {
    for (;;) {
      const next = await Promise.race([iterator.next(), aborted]);
      if (next === undefined || next.done) return;
      yield next.value;
    }
  } finally {
    if (onAbort) signal.removeEventListener("abort", onAbort);
    // Not awaited: an iterator that waits for its next value would not answer.
    iterator.return?.()?.catch(() => undefined);
  }
}
