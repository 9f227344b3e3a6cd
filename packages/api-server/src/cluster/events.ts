// The list of what was changed in the cluster, for operators, and what their own commands add to it.
import { type ClusterEvent, type Coordinator, eventsMax, readEvents, type Wish } from "@sluice/coordination";
import { type AccountId, type EpochMs, halvesOf, type Prefix } from "@sluice/core";
import type { Api, CallContext, ClusterServiceService, ClusterEvent as WireEvent } from "@sluice/protocol";
import { checkInteger } from "../wire/text.ts";

export interface EventCallsOptions {
  /** Throws unless the call may look after the cluster. */
  readonly authorize: (context: CallContext) => Promise<AccountId>;
  readonly coordinator: Coordinator;
}

const limitDefault = 100;

export function createEventCalls(options: EventCallsOptions): Pick<Api<typeof ClusterServiceService>, "listEvents"> {
  return {
    async listEvents({ queue, limit }, context) {
      await options.authorize(context);
      const range = { field: "limit", reason: "INVALID_LIMIT", min: 0, max: eventsMax };
      const count = checkInteger(limit, range) || limitDefault;
      const events = await readEvents(options.coordinator);
      const ofQueue = events.filter((event) => queue === "" || event.queue === queue);
      return { events: ofQueue.slice(-count).map(toWire) };
    },
  };
}

export interface Command {
  readonly kind: "split" | "merge" | "move";
  readonly prefix: Prefix;
  readonly by: AccountId;
  readonly at: EpochMs;
}

/** What a command makes of a wish. */
export function eventOfCommand({ kind, prefix, by, at }: Command, before: Wish, after: Wish): ClusterEvent {
  const [lower, upper] = halvesOf(prefix) ?? [];
  const to = ownerIn(after, kind === "split" ? upper : prefix);
  const halves = [ownerIn(before, lower), ownerIn(before, upper)];
  const from = kind === "merge" ? (halves.find((owner) => owner !== to) ?? to) : ownerIn(before, prefix);
  return { at, kind, reason: "command", by, figures: {}, queue: after.queue, prefix, from, to };
}

function ownerIn({ partitions }: Wish, prefix: Prefix | undefined): string {
  return partitions.find((partition) => partition.prefix === prefix)?.ownerId ?? "";
}

function toWire({ at, by = "", flow = "", figures, ...event }: ClusterEvent): WireEvent {
  const [account = "", name = ""] = flow.split("/");
  return { ...event, atMs: at, by, account, function: name, figures: { ...figures } };
}
