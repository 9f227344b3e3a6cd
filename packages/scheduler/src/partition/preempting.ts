// What an owner remembers in order to have some attempts stopped for others; `preempt.ts` says how.
import type { Priority } from "@sluice/core";
import type { AgentLink } from "../agents/link.ts";
import type { ActiveTask, Waiting } from "./memory.ts";

export interface Preempting {
  /** High or urgent, in order; also some that are not any more. Written by `context` and `preempt`. */
  readonly urgent: Set<Waiting>;
  /** By flow key: since when nobody in its shard has had room, at every look. */
  full: ReadonlyMap<string, Full>;
  /** Agents that were asked, and who asked. */
  claims: readonly Claim[];
  /** Agents that could stop nothing, or did not answer: for tasks of that priority and less urgent ones they are not asked again so soon. */
  readonly quiet: WeakMap<AgentLink, { readonly until: number; readonly priority: Priority }>;
  /** Who has made room for a task whose row is being read. Written by `preempt`, taken by `dispatch`. */
  readonly keptFor: WeakMap<ActiveTask, AgentLink>;
}

/** Monotonic. */
export interface Full {
  readonly since: number;
  readonly lookedAt: number;
}

export interface Claim {
  /** Who asked. The room is for its flow: whoever is the most urgent then gets it. */
  readonly waiting: Waiting;
  readonly link: AgentLink;
  readonly question: number;
  state: "asked" | "stopping" | "kept";
  /** Monotonic; then it is forgotten, and its flow may ask again. */
  until: number;
}

/** The highest number of a priority that others are stopped for: high. */
export const urgentPriority: Priority = 1;

/** Attempts of a task that may be stopped so, or meet flow control: after that it is left alone. */
const preemptionsMax = 3;

export function createPreempting(): Preempting {
  return { urgent: new Set(), full: new Map(), claims: [], quiet: new WeakMap(), keptFor: new WeakMap() };
}

/** Whether an agent may stop the attempt of its own accord, once it is sent. */
export function mayBePreempted({ function: record, attempt, retries, lostAttempts, stopMarked }: ActiveTask): boolean {
  return record?.settings.preemptible === true && !stopMarked && attempt - 1 - retries - lostAttempts < preemptionsMax;
}
