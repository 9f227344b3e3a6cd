// How an api-server leaves, so that nobody's call fails who can go elsewhere:
//
//   serving ──signal──▶ unwanted (health and /readyz say no; calls are still taken, for `leaveMs`, and each answer over HTTP
//                                 ends its connection)
//             ──▶ moving (no new connections, GOAWAY) ──▶ stopping (streams are answered and end, what waits ends)
import type { Clock, Loop } from "@sluice/core";
import type { ApiServer } from "../api-server.ts";

export interface LeaveDeps {
  readonly clock: Clock;
  readonly leaveMs: number;
  readonly apiServer: Pick<ApiServer, "leave">;
  readonly grpc: { leave(): void };
  readonly http?: { leave(): void } | undefined;
}

/** Runs `serve` with a signal that aborts when its calls have been told to go elsewhere, or as soon as it has ended. */
export function serveUntilLeft({ clock, leaveMs, apiServer, grpc, http }: LeaveDeps, serve: Loop): Loop {
  return async (signal) => {
    const stop = new AbortController();
    const leave = async () => {
      apiServer.leave();
      // It takes what comes, and each answer says that the next one should go elsewhere; gRPC says so by taking nothing more.
      http?.leave();
      await clock.sleep(leaveMs, stop.signal);
      grpc.leave();
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
