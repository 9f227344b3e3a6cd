// Whoever calls the api-servers: clients of accounts, and an operator. Each call goes to one of them, by chance.
import { AccountId } from "@sluice/core";
import type { FakeClock } from "@sluice/core/testing";
import {
  type Api,
  ClusterServiceService,
  type Definition,
  OperationServiceService,
  TaskServiceService,
} from "@sluice/protocol";
import { operatorAccount } from "./config.ts";
import type { Dice } from "./dice.ts";
import { simulatedClient } from "./net/client.ts";
import { SimNode } from "./net/node.ts";

export interface CallersOptions {
  readonly clock: FakeClock;
  readonly dice: Dice;
  readonly apiServers: readonly string[];
  route(
    from: SimNode,
    toHost: string,
    service: string,
    repeatable: ReadonlySet<string>,
  ): Parameters<typeof simulatedClient>[1];
}

export interface Callers {
  /** A client of an account. */
  client(name: string, account: string): { readonly node: SimNode; readonly tasks: Api<typeof TaskServiceService> };
  /** Of an account: what pauses, stops and deletes many tasks at once. */
  operations(name: string, account: string): Api<typeof OperationServiceService>;
  operator(name: string): Api<typeof ClusterServiceService>;
}

interface Caller {
  readonly node: SimNode;
  readonly account: string;
  readonly service: string;
  readonly repeatable?: readonly string[];
}

export function createCallers({ clock, dice, apiServers, route }: CallersOptions): Callers {
  const nodeOf = (name: string) => new SimNode({ name, host: name, clock, view: {} });

  function callerOf<D extends Definition>(definition: D, { node, account, service, repeatable = [] }: Caller): Api<D> {
    const { keyId, secret } = credentialOf(account);
    const headers = { authorization: `Bearer ${keyId}:${secret}` };
    const apis = apiServers.map((host) => simulatedClient(definition, route(node, host, service, new Set(repeatable))));
    const own = dice.fork(`${node.name} chooses`);
    return new Proxy({} as Api<D>, {
      get: (_target, method) => (input: never, context: { signal: AbortSignal }) =>
        (own.pick(apis)[method as keyof D] as (input: never, context: object) => unknown)(input, {
          ...context,
          headers,
        }),
    });
  }

  return {
    client(name, account) {
      const node = nodeOf(name);
      return { node, tasks: callerOf(TaskServiceService, { node, account, service: "tasks" }) };
    },
    operations(name, account) {
      const repeatable = ["pause", "resume", "startOperation", "cancelOperation"];
      return callerOf(OperationServiceService, { node: nodeOf(name), account, service: "operations", repeatable });
    },
    operator(name) {
      const repeatable = ["splitPartition", "mergePartition", "movePartition"];
      const node = nodeOf(name);
      return callerOf(ClusterServiceService, { node, account: operatorAccount, service: "cluster", repeatable });
    },
  };
}

/** The access key that an account has in every world. */
export function accessKeyOf(account: string) {
  return { accountId: AccountId(account), ...credentialOf(account) };
}

function credentialOf(account: string): { readonly keyId: string; readonly secret: string } {
  return { keyId: `key-${account}`, secret: `secret-of-${account}` };
}
