import type { AttemptOutcome, AttemptRef } from "@sluice/protocol";

/**
 * The agent's last will: which attempts it has started and nobody has confirmed. After a `kill -9` the next incarnation on
 * the host reads it and reports those that had ended with their outcomes, and the others as lost, so that their owners settle them as "retry as the next attempt,
 * without counting", even if the owners died with the agent, as they do in standalone.
 *
 * **Only behind the host lock.** An attempt may be called lost only when it certainly does not run any more. The journal
 * cannot know that; the lock does: the watchdog holds it until it has killed every instance of the old incarnation. An
 * agent that does not hold the lock must not start at all, and so never reads the journal.
 *
 * **Not after a fence.** Owners may have given a fenced agent's attempts to others before it comes back, under the same
 * number if the owner that knew of them died as well. An agent that fences itself therefore resets the journal.
 *
 * Calls are synchronous. What `accepted` and `confirmed` are told is written when they return; what `started` and `ended`
 * are told is written with the next call or by `flush`, which comes before an instance or an owner can hear of it. All but
 * these two throw when nothing can be written.
 */
export interface Journal {
  /** What earlier incarnations started and nobody confirmed. Called once, before anything else. */
  recover(): readonly Recovered[];
  /** Called once for every batch, before any of it can start. */
  accepted(attempts: readonly AttemptRef[]): void;
  /**
   * Called when the handler is about to be called. An attempt that was accepted and still waited for an instance has not
   * run: it is not lost, and may be dispatched again under the same number.
   */
  started(attempt: AttemptRef): void;
  /** Called when an attempt has ended, before anybody hears of it: its outcome survives the agent. */
  ended(attempt: AttemptRef, outcome: AttemptOutcome): void;
  /** Called before anything leaves the agent. */
  flush(): void;
  /** Called when the attempts have left the dedupe table. */
  confirmed(attempts: readonly AttemptRef[]): void;
  /** Forgets everything. */
  reset(): void;
}

/** A journal that lives as long as the object: for tests and the simulation, which hands it to the next incarnation. */
export function createMemoryJournal(): Journal {
  const live = new Map<string, JournalEntry>();
  return {
    recover: () => startedOf(live.values()),
    accepted(attempts) {
      for (const ref of attempts) live.set(journalKey(ref), { ref, hasStarted: false, outcome: undefined });
    },
    started(ref) {
      const entry = live.get(journalKey(ref));
      if (entry) entry.hasStarted = true;
    },
    ended(ref, outcome) {
      const entry = live.get(journalKey(ref));
      if (entry) entry.outcome = outcome;
    },
    flush() {},
    confirmed(attempts) {
      for (const ref of attempts) live.delete(journalKey(ref));
    },
    reset: () => live.clear(),
  };
}

/** An attempt that was started; without an outcome it did not end. */
export interface Recovered {
  readonly ref: AttemptRef;
  readonly outcome: AttemptOutcome | undefined;
}

export interface JournalEntry {
  readonly ref: AttemptRef;
  hasStarted: boolean;
  outcome: AttemptOutcome | undefined;
}

export function startedOf(entries: Iterable<JournalEntry>): Recovered[] {
  return [...entries].filter(({ hasStarted }) => hasStarted).map(({ ref, outcome }) => ({ ref, outcome }));
}

export function journalKey({ seq, attempt }: Pick<AttemptRef, "seq" | "attempt">): string {
  return `${seq}/${attempt}`;
}
