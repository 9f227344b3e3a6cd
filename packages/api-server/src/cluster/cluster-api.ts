// Commands are written into the wish itself, on the condition that it is still the one that was read. The leader writes its
// own changes on the same condition, so neither overwrites the other, and what was commanded rests: the leader keeps to it.
import { type Coordinator, eventWrites, readMembers, readWishes, withDeadlines, writeWish } from "@sluice/coordination";
import { AppError, type Clock, invalid, type Prefix } from "@sluice/core";
import type { Api, CallContext, ClusterServiceService, PartitionChange } from "@sluice/protocol";
import type { Signals } from "@sluice/queue";
import type { Logger } from "@sluice/runtime";
import type { Store } from "@sluice/store";
import type { Authenticate } from "../accounts/authenticate.ts";
import type { ApiServerConfig } from "../config.ts";
import type { ApiServerMetrics } from "../metrics.ts";
import { createAccountCalls } from "./accounts.ts";
import { type Change, merge, move, split } from "./change-wish.ts";
import { createEventCalls, eventOfCommand } from "./events.ts";
import { createAuthorizeOperator } from "./operators.ts";
import { readCluster, toWireQueue } from "./read-cluster.ts";
import { createRouteCalls } from "./routes.ts";

export interface ClusterApiOptions {
  readonly config: Pick<ApiServerConfig, "auth" | "operatorAccounts">;
  readonly authenticate: Authenticate;
  readonly coordinator: Coordinator;
  readonly store: Pick<Store, "lanes" | "agents" | "accounts" | "functions">;
  readonly signals: Signals;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: ApiServerMetrics;
}

/** What was commanded rests for so long: the leader neither undoes it nor builds on it. */
const restMs = 3_600_000;
/** Others may change the same wish at the same moment; not so often in a row. */
const triesMax = 5;
const callDeadlineMs = 1_500;

export function createClusterApi(options: ClusterApiOptions): Api<typeof ClusterServiceService> {
  const { clock, log, metrics, store } = options;
  const coordinator = withDeadlines(options.coordinator, { clock, deadlineMs: callDeadlineMs });
  const authorize = createAuthorizeOperator(options.config, options.authenticate);

  async function command(
    kind: "split" | "merge" | "move",
    partition: { readonly queue: string; readonly prefix: Prefix },
    change: Change,
    context: CallContext,
  ): Promise<PartitionChange> {
    const accountId = await authorize(context);
    checkPrefix(partition.prefix);
    const now = clock.now();
    for (let tries = 0; tries < triesMax; tries++) {
      const [wishes, members] = await Promise.all([readWishes(coordinator), readMembers(coordinator)]);
      const wish = wishes.find(({ queue, partitions }) => queue === partition.queue && partitions.length > 0);
      if (wish === undefined) throw queueNotFound(partition.queue, wishes);
      const changed = change({ wish, wishes, members, rest: { now, until: now + restMs } });
      if (changed === undefined) return { queue: toWireQueue(wish, now), changed: false };
      const event = eventOfCommand({ kind, prefix: partition.prefix, by: accountId, at: clock.now() }, wish, changed);
      if (!(await writeWish(coordinator, changed, [], eventWrites([event])))) continue;
      metrics.clusterCommands.inc({ kind });
      log.info("changed a wish on command", { kind, accountId, ...partition, partitions: changed.partitions });
      return { queue: toWireQueue(changed, now), changed: true };
    }
    throw new AppError("unavailable", "CLUSTER_CHANGES", `queue ${partition.queue} is changing; try again`);
  }

  return {
    async getCluster(_request, context) {
      await authorize(context);
      return readCluster({ coordinator, store, clock });
    },
    ...createAccountCalls({ ...options, authorize }),
    ...createRouteCalls({ ...options, coordinator, authorize }),
    ...createEventCalls({ coordinator, authorize }),
    splitPartition: ({ queue, prefix }, context) => command("split", { queue, prefix }, split(prefix), context),
    mergePartition: ({ queue, prefix }, context) => command("merge", { queue, prefix }, merge(prefix), context),
    movePartition: ({ queue, prefix, to }, context) => command("move", { queue, prefix }, move(prefix, to), context),
  };
}

function checkPrefix(prefix: string): void {
  if (/^[01]{0,5}$/.test(prefix)) return;
  throw invalid("INVALID_PREFIX", "prefix", "a prefix has 0 to 5 characters, each 0 or 1");
}

function queueNotFound(queue: string, wishes: readonly { readonly queue: string }[]): AppError {
  const known = wishes.map((wish) => wish.queue).join(", ") || "none yet";
  return new AppError("not_found", "QUEUE_NOT_FOUND", `there is no queue ${queue}; there are: ${known}`, {
    field: "queue",
  });
}
