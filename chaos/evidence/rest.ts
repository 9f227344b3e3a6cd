// What is left when everything accepted is final, and whose it is: instances, messages and consumers of JetStream. `I14` says
// what of it may be there.
import type { Leftover } from "@sluice/checkers";
import { claimsPrefix } from "@sluice/coordination";
import { covers, type Epoch, parsePartitionKey } from "@sluice/core";
import type { LedgerExecution } from "../workload/ledger.ts";

export interface Ownership {
  /** Of etcd. */
  readonly entries: readonly { readonly key: string; readonly value: string }[];
  /** By queue, one per lane. */
  readonly floors: ReadonlyMap<string, readonly Epoch[]>;
}

/** A stream of JetStream. */
export interface StreamFacts {
  readonly name: string;
  /** Those that were delivered and not acked, too. */
  readonly messages: number;
  /** Names. */
  readonly consumers: readonly string[];
}

/** A message must be gone: nothing is left that it could announce. */
export function leftInJetStream(streams: readonly StreamFacts[], ownership: Ownership): Leftover[] {
  return streams.flatMap(({ name, messages, consumers }) => [
    ...(messages > 0 ? [{ kind: "block", what: `(${messages} in stream ${name})`, holder: undefined } as const] : []),
    ...leftConsumers(consumers, ownership),
  ]);
}

/** `<queue>-<prefix, or all>-<priority>-<epoch>` */
const consumerPattern = /^(.+)-(all|[01]+)-[0-3]-(\d+)$/;

/** A consumer belongs to who claims its partition, if its epoch is the floor of every lane of it. */
function leftConsumers(consumers: readonly string[], { entries, floors }: Ownership): Leftover[] {
  return consumers.map((name): Leftover => {
    const [, queue = "", bits = "", epoch] = consumerPattern.exec(name) ?? [];
    const prefix = bits === "all" ? "" : bits;
    const lanes = (floors.get(queue) ?? []).filter((_, lane) => covers(prefix, lane));
    const isOfTheLast = lanes.length > 0 && lanes.every((floor) => floor === Number(epoch));
    const claim = entries.find(({ key }) => {
      if (!key.startsWith(claimsPrefix)) return false;
      const partition = parsePartitionKey(key.slice(claimsPrefix.length));
      return partition.queue === queue && partition.prefix === prefix;
    });
    return { kind: "consumer", what: name, holder: isOfTheLast ? claim?.value : undefined };
  });
}

/** A process of an instance. */
export interface InstanceProcess {
  readonly pid: number;
  readonly instanceId: string;
  /** Process ids, from its parent on. */
  readonly ancestors: readonly number[];
}

export interface InstanceFacts {
  readonly processes: readonly InstanceProcess[];
  /** Process ids of the agents that live. */
  readonly agents: readonly number[];
  readonly executions: readonly LedgerExecution[];
  /** Of these executions, those that were seen to run just now. */
  readonly running: readonly LedgerExecution[];
}

/** An instance may stay under its agent while it does nothing: it is kept warm. */
export function leftInstances({ processes, agents, executions, running }: InstanceFacts): Leftover[] {
  const orphans = processes.filter(({ ancestors }) => !ancestors.some((pid) => agents.includes(pid)));
  const living = new Set(processes.map(({ instanceId }) => instanceId));
  const seen = new Set(running);
  const open = executions.filter((one) => seen.has(one) || (one.how === undefined && living.has(one.instanceId)));
  return [
    ...orphans.map(({ pid, instanceId }): Leftover => {
      return { kind: "instance", what: `process ${pid} (${instanceId}), under no agent,`, holder: undefined };
    }),
    ...open.map(({ account, taskId, attempt, instanceId, agentId }): Leftover => {
      return {
        kind: "instance",
        what: `${instanceId}, which runs ${account}/${taskId} attempt ${attempt},`,
        holder: agentId,
      };
    }),
  ];
}
