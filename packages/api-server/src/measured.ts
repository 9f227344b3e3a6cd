import { AppError, type Clock } from "@sluice/core";
import type { Api, CallContext, Definition } from "@sluice/protocol";
import type { Logger } from "@sluice/runtime";
import type { ApiServerMetrics } from "./metrics.ts";

export interface MeasuredOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: ApiServerMetrics;
}

type Handler = (input: unknown, context: CallContext) => Promise<unknown> & AsyncIterable<unknown>;

/** The same service; every call is counted by its code, and what is a fault of ours is logged, because callers hear little of it. */
export function measured<D extends Definition>(definition: D, api: Api<D>, options: MeasuredOptions): Api<D> {
  const { clock, log, metrics } = options;
  const handlers: Record<string, unknown> = {};
  for (const [method, { path, responseStream }] of Object.entries(definition)) {
    const handler = (api as Record<string, unknown>)[method] as Handler;
    const count = (cause?: unknown) => metrics.calls.inc({ method: path, code: codeOf(cause) });
    const failed = (cause: unknown): unknown => {
      count(cause);
      if (codeOf(cause) === "internal") log.error("a call failed", { method: path, cause });
      return cause;
    };
    handlers[method] = responseStream
      ? async function* (input: unknown, context: CallContext) {
          try {
            yield* handler(input, context);
            count();
          } catch (cause) {
            throw failed(cause);
          }
        }
      : async (input: unknown, context: CallContext) => {
          const startedAt = clock.monotonic();
          try {
            const answer = await handler(input, context);
            count();
            return answer;
          } catch (cause) {
            throw failed(cause);
          } finally {
            metrics.callSeconds.observe({ method: path }, (clock.monotonic() - startedAt) / 1_000);
          }
        };
  }
  return handlers as unknown as Api<D>;
}

function codeOf(cause: unknown): string {
  if (cause === undefined) return "ok";
  return cause instanceof AppError ? cause.code : "internal";
}
