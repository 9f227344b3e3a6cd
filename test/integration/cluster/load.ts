// A stream of tasks, submitted until it is stopped, whose acceptances are written down.
import type { SluiceClient } from "@sluice/client";

export interface Load {
  /** Ids of tasks whose submission was answered. */
  readonly accepted: readonly string[];
  /** Takes no more from now on; resolves when every submission was answered. */
  stop(): Promise<void>;
}

export interface LoadOptions {
  readonly prefix: string;
  /** Tasks that are submitted and not answered yet. */
  readonly atOnce: number;
  /** How long the n-th task runs, in ms. */
  readonly runsMs: (n: number) => number;
  /** Between two submissions of a loop. */
  readonly pauseMs: number;
}

/** Starts at once. A submission that is refused or unknown rejects `stop`. */
export function startLoad(client: SluiceClient, { prefix, atOnce, runsMs, pauseMs }: LoadOptions): Load {
  const accepted: string[] = [];
  let stopped = false;
  let next = 0;
  const loop = async () => {
    while (!stopped) {
      const n = next++;
      const { taskId } = await client.submit({ function: "work", taskId: `${prefix}${n}`, payload: String(runsMs(n)) });
      accepted.push(taskId);
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  };
  const loops = Promise.all(Array.from({ length: atOnce }, loop));
  // Heard by whoever stops it; a failure before that must not end the process.
  loops.catch(() => undefined);
  return {
    accepted,
    async stop() {
      stopped = true;
      await loops;
    },
  };
}
