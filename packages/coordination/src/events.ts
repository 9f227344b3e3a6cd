// What was changed in the cluster, when and why: for people, who look afterwards. Each event is written in the transaction of its
// change, so there is none without the other, and the list outlives whoever decided. It is short: the last thousand, of a day.
import type { EpochMs, Prefix } from "@sluice/core";
import { fieldsIn, fieldsOf } from "./fields.ts";
import type { Condition, Coordinator, Entry, Operation } from "./index.ts";
import { eventKey, eventsPrefix } from "./keys.ts";

export interface ClusterEvent {
  /** By the clock of whoever wrote it. */
  readonly at: EpochMs;
  readonly kind: EventKind;
  /** The rule that asked for it, or `command`. */
  readonly reason: string;
  /** The account that commanded it; absent: nobody did. */
  readonly by?: string | undefined;
  /** What the rule went by; names say the unit. */
  readonly figures: Readonly<Record<string, number>>;
  /** Empty: it is about no queue. */
  readonly queue: string;
  readonly prefix: Prefix;
  /** `account/function`; absent: it is about no flow. */
  readonly flow?: string | undefined;
  /** The member that gives, or gave up; empty: none. */
  readonly from: string;
  /** The member that gets; empty: none. */
  readonly to: string;
}

/** A later release may write others. */
export const eventKinds = [
  "split",
  "merge",
  "move",
  "leader",
  "route opening",
  "route open",
  "route folding",
  "route ended",
] as const;
export type EventKind = (typeof eventKinds)[number] | "other";

/** The list is cut to so many, and to this age, about once a minute; until then it is a little longer. */
export const eventsMax = 1_000;
export const eventsAgeMaxMs = 24 * 3_600_000;

/** The writes of events, for the transaction of their change. None, or a few dozen, name the same moment. */
export function eventWrites(events: readonly ClusterEvent[]): Operation[] {
  return events.map((event): Operation => ({ op: "put", key: keyOf(event), value: textOf(event) }));
}

/** Those that can be read, in the order in which they happened, whatever the clocks said. */
export async function readEvents(coordinator: Coordinator): Promise<ClusterEvent[]> {
  return (await listEvents(coordinator)).flatMap((entry) => parseEvent(entry) ?? []);
}

/** Deletes what is too much or too old, while `conditions` hold. */
export async function pruneEvents(
  coordinator: Coordinator,
  now: EpochMs,
  conditions: readonly Condition[],
): Promise<void> {
  const entries = await listEvents(coordinator);
  const isOld = (entry: Entry) => Math.abs(now - (parseEvent(entry)?.at ?? 0)) > eventsAgeMaxMs;
  const surplus = entries.filter((entry, index) => index < entries.length - eventsMax || isOld(entry));
  for (let start = 0; start < surplus.length; start += deletesMax) {
    const deletes = surplus.slice(start, start + deletesMax).map(({ key }): Operation => ({ op: "delete", key }));
    if (!(await coordinator.commit(conditions, deletes)).succeeded) return;
  }
}

async function listEvents(coordinator: Coordinator): Promise<Entry[]> {
  const entries = await coordinator.list(eventsPrefix);
  return entries.sort((a, b) => a.modRevision - b.modRevision || (a.key < b.key ? -1 : 1));
}

/** Of one transaction. */
const deletesMax = 100;

/** Two changes of one thing never happen at the same moment: each goes by the one before. */
function keyOf({ at, kind, queue, prefix, flow = "", to }: ClusterEvent): string {
  const subject = flow || (queue === "" ? to : `${queue}/${prefix || "-"}`);
  return eventKey(`${String(Math.max(0, Math.round(at))).padStart(15, "0")}/${kind.replace(" ", "-")}/${subject}`);
}

function textOf({ at, kind, reason, by, figures, queue, prefix, flow, from, to }: ClusterEvent): string {
  const rounded = Object.entries(figures).map(([name, value]) => [name, Math.round(value * 100) / 100]);
  return JSON.stringify({ at, kind, reason, by, figures: Object.fromEntries(rounded), queue, prefix, flow, from, to });
}

function parseEvent({ value }: Pick<Entry, "value">): ClusterEvent | undefined {
  const fields = fieldsOf(value);
  const { at, kind, by, figures, flow } = fields;
  if (typeof at !== "number" || typeof kind !== "string") return undefined;
  const textIn = (name: string) => (typeof fields[name] === "string" ? fields[name] : "");
  const numbers = Object.entries(fieldsIn(figures)).filter(
    (entry): entry is [string, number] => typeof entry[1] === "number",
  );
  return {
    at,
    kind: eventKinds.find((known) => known === kind) ?? "other",
    reason: textIn("reason"),
    ...(typeof by === "string" && { by }),
    figures: Object.fromEntries(numbers),
    queue: textIn("queue"),
    prefix: textIn("prefix"),
    ...(typeof flow === "string" && { flow }),
    from: textIn("from"),
    to: textIn("to"),
  };
}
