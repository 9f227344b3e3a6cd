// Loop: forgets what ended, and what no owner will ever confirm: the queue that a flow had as its own is given up as soon as
// nothing lies in it, also when the last confirmation of its owner was lost.
//
//   ended ──not confirmed at two looks in a row──▶ an api-server is asked ──settled──▶ confirmed, as by an owner
//              ▲                                                      └──not, or no answer──▶ asked again at the next look
//              └── what ends later
//
// What the store answers is a fact that stays: the task is final, deleted, or at a later attempt. Without this loop each such
// attempt took a place in the dedupe table until the agent ended.
import type { Clock, Loop } from "@sluice/core";
import type { AgentGatewayServiceService, Api } from "@sluice/protocol";
import type { Logger } from "@sluice/runtime";
import { callWithin } from "./call-within.ts";
import type { AgentConfig } from "./config.ts";
import type { Attempt } from "./gate/attempt.ts";
import type { Gate } from "./gate/gate.ts";

export interface ForgetSettledDeps {
  readonly config: Pick<AgentConfig, "joinToken" | "heartbeatTimeoutMs">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly gate: Pick<Gate, "unconfirmed" | "settled">;
  readonly gateway: Pick<Api<typeof AgentGatewayServiceService>, "findSettled">;
  /** They have left the table. */
  readonly onConfirmed: (attempts: readonly Attempt[]) => void;
}

/** An owner confirms within milliseconds, and one that is replaced is so within seconds. */
const lookEveryMs = 20_000;
const askMax = 1_000;

export function forgetSettledLoop({ config, clock, log, gate, gateway, onConfirmed }: ForgetSettledDeps): Loop {
  return async (signal) => {
    let seen = new Set<Attempt>();
    while (!signal.aborted) {
      await clock.sleep(lookEveryMs, signal);
      if (signal.aborted) return;
      const now = gate.unconfirmed();
      const attempts = now.filter((attempt) => seen.has(attempt)).slice(0, askMax);
      seen = new Set(now);
      if (attempts.length === 0) continue;
      try {
        const request = { joinToken: config.joinToken, attempts: attempts.map(({ ref }) => ref) };
        const ms = config.heartbeatTimeoutMs;
        const { settled } = await callWithin({ clock, ms, signal }, (limit) =>
          gateway.findSettled(request, { signal: limit }),
        );
        const forgotten = gate.settled(settled);
        if (forgotten.length > 0) onConfirmed(forgotten);
      } catch (cause) {
        // An api-server of the release before this one does not know the call.
        if (!signal.aborted) log.debug("cannot ask what is settled", { cause: String(cause) });
      }
    }
  };
}
