// How an api-server leaves, so that nobody's call fails who can go elsewhere:
//
//   serving ──signal──▶ unwanted (health and /readyz say no; calls are still taken, for `leaveMs`)
//             ──▶ moving (no new connections, GOAWAY; over HTTP each answer ends its connection) ──▶ stopping (streams are answered and end, what waits ends)
import type { Clock, Loop } from "@sluice/core";
import type { ApiServer } from "../api-server.ts";

export interface LeaveDeps {
  readonly clock: Clock;
  readonly leaveMs: number;
  readonly apiServer: Pick<ApiServer, "leave">;
  /** Whose callers are told to go elsewhere. */
  readonly servers: readonly { leave(): void }[];
}

/** Runs `serve` with a signal that aborts when its calls have been told to go elsewhere, or as soon as it has ended. */
export function serveUntilLeft({ clock, leaveMs, apiServer, servers }: LeaveDeps, serve: Loop): Loop {
  return async (signal) => {
    const stop = new AbortController();
    const leave = async () => {
      apiServer.leave();
      await clock.sleep(leaveMs, stop.signal);
      for (const server of servers) server.leave();
      stop.abort(signal.reason);
    };
    const onAbort = () => void leave();
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    try {
      await serve(stop.signal);
    } finally {
      signal.removeEventListener("abort", onAbort);
      stop.abort();
    }
  };
}
