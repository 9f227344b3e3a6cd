// Which limits count for a flow, as what was read last says. Pure.
import { type Flow, flowKey, type Home, homeOf, isLimited } from "@sluice/core";
import type { AccountRecord, FunctionRecord } from "@sluice/store";

export interface Limit {
  /** Of the flow, or of its account as a whole. */
  readonly scope: "flow" | "account";
  /** Key of the flow, or id of the account. */
  readonly key: string;
  /** 0: no limit. */
  readonly concurrencyMax: number;
  /** 0: no limit. */
  readonly rateMax: number;
  readonly rateBurst: number;
}

export interface FlowLimits {
  /** Undefined: the flow is not limited. */
  readonly home: Home | undefined;
  readonly limits: readonly Limit[];
  /** When the limits of the function and of the account changed last, each growing with every change. Empty: they never did. */
  readonly version: readonly number[];
  readonly route: KnownRoute;
}

/** Whether a flow has a queue of its own, as far as is known. */
export interface KnownRoute {
  /** Undefined: it has none, or is losing it. */
  readonly dedicatedQueue: string | undefined;
  /** For how long that has been the answer here. */
  readonly unchangedMs: number;
  /** False: it never had one, since there are answers. */
  readonly wasRouted: boolean;
}

export interface LimitFacts {
  readonly function: FunctionRecord;
  readonly account: AccountRecord | undefined;
  readonly route: KnownRoute;
  readonly queues?: readonly string[];
}

export function limitsOf(flow: Flow, facts: LimitFacts): FlowLimits {
  const { function: record, account, route, queues } = facts;
  const version = [record.limitsChangedAt, account?.limitsChangedAt ?? 0];
  const home = homeOf(flow, {
    function: record.settings,
    account: account?.settings,
    dedicatedQueue: route.dedicatedQueue,
    ...(queues && { queues }),
  });
  const limits: Limit[] = [];
  if (isLimited(record.settings)) limits.push(limit("flow", flowKey(flow), record.settings));
  if (account && isLimited(account.settings)) limits.push(limit("account", account.accountId, account.settings));
  const isChanged = version.some((changedAt) => changedAt > 0);
  return { home, limits, version: isChanged ? version : [], route };
}

type Settings = Pick<Limit, "concurrencyMax" | "rateMax" | "rateBurst">;

function limit(scope: Limit["scope"], key: string, { concurrencyMax, rateMax, rateBurst }: Settings): Limit {
  return { scope, key, concurrencyMax, rateMax, rateBurst };
}
