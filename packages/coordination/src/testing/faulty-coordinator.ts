import type { Clock } from "@sluice/core";
import { coordinatorUnavailable } from "../errors.ts";
import type { Coordinator } from "../index.ts";

/** What may happen to a call on its way. */
export type Fault =
  /** It fails and had no effect. */
  | "refused"
  /** It takes effect, and fails. */
  | "unheard"
  /** It has no effect and never answers. */
  | "hangs"
  /** It takes effect, and answers, `lateMs` later. */
  | "late";

export type CoordinatorCall = Exclude<keyof Coordinator, "watch" | typeof Symbol.asyncDispose>;

export interface FaultyCoordinatorOptions {
  readonly coordinator: Coordinator;
  readonly clock: Clock;
  /** Default 3 s. */
  readonly lateMs?: number;
  /** Asked at each call. Undefined: nothing goes wrong. */
  readonly fault: (call: CoordinatorCall) => Fault | undefined;
}

/** A coordinator behind a network that loses and delays calls and answers, as `fault` says. */
export function createFaultyCoordinator(options: FaultyCoordinatorOptions): Coordinator {
  const { coordinator, clock, lateMs = 3_000, fault } = options;
  async function send<T>(call: CoordinatorCall, work: () => Promise<T>): Promise<T> {
    switch (fault(call)) {
      case undefined:
        return work();
      case "refused":
        throw coordinatorUnavailable(`${call} was refused`);
      case "unheard":
        await work();
        throw coordinatorUnavailable(`the answer to ${call} was lost`);
      case "hangs":
        return new Promise<T>(() => {});
      case "late":
        await clock.sleep(lateMs);
        return work();
    }
  }
  return {
    grant: (ttlMs) => send("grant", () => coordinator.grant(ttlMs)),
    renew: (lease) => send("renew", () => coordinator.renew(lease)),
    revoke: (lease) => send("revoke", () => coordinator.revoke(lease)),
    get: (key) => send("get", () => coordinator.get(key)),
    list: (prefix) => send("list", () => coordinator.list(prefix)),
    commit: (conditions, operations) => send("commit", () => coordinator.commit(conditions, operations)),
    watch: (prefix, onHint) => coordinator.watch(prefix, onHint),
    [Symbol.asyncDispose]: () => coordinator[Symbol.asyncDispose](),
  };
}
