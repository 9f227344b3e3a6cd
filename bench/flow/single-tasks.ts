// Single tasks at a steady rate, and how long each waits for its handler.
import { type SluiceClient, type Submission, WaitTimedOut } from "@sluice/client";

export interface SingleTasks {
  readonly client: SluiceClient;
  readonly function: string;
  readonly priority?: NonNullable<Submission["priority"]>;
  readonly count: number;
  /** One every so many ms. */
  readonly everyMs: number;
  /** After the last was submitted those that have not started are given up. */
  readonly patienceMs: number;
}

export interface Delays {
  /** From before `submit` to the handler's first line, in ms, ascending; Infinity: it had not started in the end. */
  readonly startMs: readonly number[];
  /** Those that were given up waited for at least so long. */
  readonly patienceMs: number;
}

/** Answers with the time at which it started, in ms since 1970, then keeps its slot for `workMs`. */
export function startTimeHandler(workMs: number): string {
  return `exports.handler = async () => {
  const startedAt = performance.timeOrigin + performance.now();
  await new Promise((resolve) => setTimeout(resolve, ${workMs}));
  return String(startedAt);
};`;
}

export async function measureDelays(o: SingleTasks): Promise<Delays> {
  const { client, count, everyMs, patienceMs } = o;
  const firstAt = performance.now();
  const endsAt = firstAt + count * everyMs + patienceMs;
  const startMs = await Promise.all(
    Array.from({ length: count }, async (_, n) => {
      await pause(firstAt + n * everyMs - performance.now());
      const submittedAt = performance.timeOrigin + performance.now();
      const priority = o.priority === undefined ? {} : { priority: o.priority };
      const { taskId } = await client.submit({ function: o.function, taskId: `single_${n}`, ...priority });
      const timeoutMs = Math.max(1, Math.round(endsAt - performance.now()));
      try {
        const { result } = await client.wait(o.function, taskId, { timeoutMs });
        return (
          Number(
            Buffer.from(result ?? [])
              .toString("utf8")
              .replaceAll('"', ""),
          ) - submittedAt
        );
      } catch (cause) {
        if (cause instanceof WaitTimedOut) return Number.POSITIVE_INFINITY;
        throw cause;
      }
    }),
  );
  return { startMs: startMs.sort((a, b) => a - b), patienceMs };
}

/** As text; ">": it had not started when it was given up. */
export function percentile({ startMs, patienceMs }: Delays, ratio: number): string {
  const at = startMs[Math.min(startMs.length - 1, Math.floor(startMs.length * ratio))] ?? Number.NaN;
  return at === Number.POSITIVE_INFINITY ? `> ${ms(patienceMs)}` : ms(at);
}

export function pause(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, durationMs)));
}

function ms(value: number): string {
  return `${Math.round(value).toLocaleString("en")} ms`;
}
