import { assert, type Seq } from "@sluice/core";
import type { AttemptOutcome } from "@sluice/protocol";
import { LRUCache } from "lru-cache";
import { type Attempt, outcomeBytes } from "./attempt.ts";

export interface DedupeLimits {
  /** Attempts that run or are not confirmed. A full table refuses new work. */
  readonly entriesMax: number;
  /** Bytes of outcomes that are not confirmed. */
  readonly bytesMax: number;
  /** Confirmed tasks that are remembered, so that a late repeat is not run again. */
  readonly confirmedMax: number;
}

/**
 * Every attempt that this incarnation has accepted and no owner has confirmed yet; it is the inventory, too. What was
 * confirmed is remembered by its number alone, in an LRU cache without a time: a repeat is late by seconds, and the cache
 * holds minutes of work.
 */
export class DedupeTable {
  readonly #limits: DedupeLimits;
  /** By task, in order of acceptance. Nearly always one attempt each. */
  readonly #attempts = new Map<Seq, readonly Attempt[]>();
  readonly #confirmed: LRUCache<Seq, number>;
  #count = 0;
  #runningCount = 0;
  #bytes = 0;
  /** By priority. */
  readonly #stoppable = [0, 0, 0, 0];

  constructor(limits: DedupeLimits) {
    this.#limits = limits;
    this.#confirmed = new LRUCache({ max: limits.confirmedMax });
  }

  get count(): number {
    return this.#count;
  }
  get runningCount(): number {
    return this.#runningCount;
  }
  get bytes(): number {
    return this.#bytes;
  }
  /** Attempts that run and may be stopped for urgent ones, by their priority. */
  get stoppable(): readonly number[] {
    return this.#stoppable;
  }
  get isFull(): boolean {
    return this.#count >= this.#limits.entriesMax || this.#bytes >= this.#limits.bytesMax;
  }

  find(seq: Seq, attempt: number): Attempt | undefined {
    return this.#attempts.get(seq)?.find((entry) => entry.ref.attempt === attempt);
  }

  /** Whether an attempt that is not in the table was confirmed already, or a later one of its task was seen. */
  isOutdated(seq: Seq, attempt: number): boolean {
    if (attempt <= (this.#confirmed.get(seq) ?? 0)) return true;
    return this.#attempts.get(seq)?.some((entry) => entry.ref.attempt > attempt) ?? false;
  }

  /** Whether any attempt of the task runs. */
  isRunning(seq: Seq): boolean {
    return this.#attempts.get(seq)?.some((entry) => entry.outcome === undefined) ?? false;
  }

  add(attempt: Attempt): void {
    const { seq } = attempt.ref;
    assert(!this.find(seq, attempt.ref.attempt), "an attempt is in the dedupe table once");
    this.#attempts.set(seq, [...(this.#attempts.get(seq) ?? []), attempt]);
    this.#count++;
    if (attempt.outcome === undefined) this.#countRunning(attempt, 1);
    this.#bytes += outcomeBytes(attempt.outcome);
  }

  end(attempt: Attempt, outcome: AttemptOutcome): void {
    assert(attempt.outcome === undefined, "an attempt ends once");
    attempt.outcome = outcome;
    this.#countRunning(attempt, -1);
    this.#bytes += outcomeBytes(outcome);
  }

  /** Its outcome is in the store: only its number is remembered; if nobody has sent it, only that it is no lower one's turn. */
  confirm(attempt: Attempt): void {
    const { seq, attempt: number } = attempt.ref;
    this.remove(attempt);
    const outdated = attempt.isSent ? number : number - 1;
    this.#confirmed.set(seq, Math.max(outdated, this.#confirmed.get(seq) ?? 0));
  }

  /** As if it had never been accepted. */
  remove(attempt: Attempt): void {
    const { seq } = attempt.ref;
    const others = this.#attempts.get(seq)?.filter((entry) => entry !== attempt) ?? [];
    if (others.length > 0) this.#attempts.set(seq, others);
    else this.#attempts.delete(seq);
    this.#count--;
    if (attempt.outcome === undefined) this.#countRunning(attempt, -1);
    this.#bytes -= outcomeBytes(attempt.outcome);
  }

  #countRunning({ stoppable }: Attempt, change: 1 | -1): void {
    this.#runningCount += change;
    if (!stoppable) return;
    this.#stoppable[stoppable.priority] = (this.#stoppable[stoppable.priority] ?? 0) + change;
  }

  *[Symbol.iterator](): Iterator<Attempt> {
    for (const attempts of this.#attempts.values()) yield* attempts;
  }
}
