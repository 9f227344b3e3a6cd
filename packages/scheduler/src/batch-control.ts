// Loop: what is paused, and what is to be stopped or deleted by filter, as this scheduler knows it.
//
//   unknown ──read──▶ usable ──every second, and on each hint: read again──▶ usable ──4 s without an answer──▶ unusable
//
// Nothing is sent to an agent while it is not usable. So whoever pauses something knows that nobody acts by what was before it
// five seconds after the answer, whatever became of hints, answers and clocks.
import { type Clock, type Flow, flowKey, type Loop } from "@sluice/core";
import { controlTopic, type Signals } from "@sluice/queue";
import type { Logger } from "@sluice/runtime";
import {
  type ControlRecords,
  type Heeded,
  type OpenOperation,
  type PauseRecord,
  pausedUntil,
  type TaskRow,
  type TaskSelection,
} from "@sluice/store";

export interface BatchControl {
  /** Whether what is known is young enough to send anything. Asked right before it is sent. */
  isUsable(): boolean;
  /** Whether the flow, its account or the queue is paused. */
  holds(flow: Flow, queue: string): boolean;
  /** A pause whose filter the row passes; undefined: none. */
  pauseOf(row: TaskRow): PauseRecord | undefined;
  /** Whether what is parked until then waits for a pause that holds. */
  isPausedUntil(dueAt: number): boolean;
  /** Numbers of the pauses with filters. */
  readonly filterPauses: readonly number[];
  readonly operations: readonly OpenOperation[];
  /** Grows with every answer. */
  readonly version: number;
  /** Calls `listener` when anything changed, or is known again. Returns how to stop. */
  watch(listener: () => void): () => void;
  readonly run: Loop;
}

export interface BatchControlDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly store: { readonly control: Pick<ControlRecords, "heed"> };
  readonly signals: Signals;
}

const askEveryMs = 1_000;
/** Less than the five seconds that are promised, for what is on its way to an agent. */
const usableMs = 4_000;
/** An answer that never comes must not be the last. Nothing else is waited for here: it would be counted, too. */
const pendingMax = 3;

export function createBatchControl({ clock, log, store, signals }: BatchControlDeps): BatchControl {
  let known: Known = know({ pauses: [], operations: [] });
  /** Of the answer that is known: when it was asked for, and as the how-manieth. */
  let askedAt = Number.NEGATIVE_INFINITY;
  let taken = 0;
  let asked = 0;
  let version = 0;
  let pending = 0;
  const listeners = new Set<() => void>();
  const isUsable = () => clock.monotonic() - askedAt < usableMs;

  async function ask(): Promise<void> {
    const at = clock.monotonic();
    const nth = ++asked;
    pending += 1;
    try {
      const heeded = await store.control.heed();
      // Answers may overtake each other.
      if (nth > taken) {
        taken = nth;
        take(heeded, at);
      }
    } catch (cause) {
      log.warn("cannot read what is paused", { cause: String(cause) });
    } finally {
      pending -= 1;
    }
  }

  function take(heeded: Heeded, at: number): void {
    const before = isUsable() ? known.fingerprint : undefined;
    known = know(heeded);
    askedAt = at;
    version += 1;
    if (known.fingerprint !== before) for (const listener of listeners) listener();
  }

  return {
    isUsable,
    holds: ({ accountId, functionName }, queue) =>
      known.size > 0 &&
      (known.queues.has(queue) ||
        known.accounts.has(accountId) ||
        known.flows.has(flowKey({ accountId, functionName }))),
    pauseOf: (row) =>
      known.filters.get(row.accountId)?.find(({ target }) => target.kind === "tasks" && passes(target.filter, row)),
    isPausedUntil: (dueAt) => known.filterPauses.some((number) => pausedUntil(number) === dueAt),
    get filterPauses() {
      return known.filterPauses;
    },
    get operations() {
      return known.operations;
    },
    get version() {
      return version;
    },
    watch(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async run(signal) {
      const stop = signals.listen(controlTopic, () => {
        if (!signal.aborted && pending < pendingMax) void ask();
      });
      try {
        while (!signal.aborted) {
          if (pending < pendingMax) void ask();
          await clock.sleep(askEveryMs, signal);
        }
      } finally {
        stop();
      }
    },
  };
}

interface Known {
  /** How many pauses of flows, accounts and queues. */
  readonly size: number;
  readonly flows: ReadonlySet<string>;
  readonly accounts: ReadonlySet<string>;
  readonly queues: ReadonlySet<string>;
  /** By the account whose rows they are for: nobody pays for those of others. */
  readonly filters: ReadonlyMap<string, readonly PauseRecord[]>;
  readonly filterPauses: readonly number[];
  readonly operations: readonly OpenOperation[];
  /** Equal for equal knowledge. */
  readonly fingerprint: string;
}

function know({ pauses, operations }: Heeded): Known {
  const [flows, accounts, queues] = [new Set<string>(), new Set<string>(), new Set<string>()];
  const filters = new Map<string, PauseRecord[]>();
  const filterPauses: number[] = [];
  for (const pause of pauses) {
    const { target } = pause;
    if (target.kind === "function") flows.add(flowKey(target));
    else if (target.kind === "account") accounts.add(target.accountId);
    else if (target.kind === "queue") queues.add(target.queue);
    else {
      const { accountId } = target.filter;
      const ofAccount = filters.get(accountId) ?? [];
      filters.set(accountId, ofAccount);
      ofAccount.push(pause);
      filterPauses.push(pause.number);
    }
  }
  return {
    ...{ size: flows.size + accounts.size + queues.size, flows, accounts, queues, filters },
    filterPauses,
    operations,
    fingerprint: JSON.stringify([
      pauses.map(({ number }) => number),
      operations.map(({ operation, openLanes }) => [operation.number, openLanes]),
    ]),
  };
}

/** Whether a row is one of those that are meant. */
export function passes(selection: TaskSelection, row: TaskRow): boolean {
  const { accountId, functionName, status, enqueuedFrom, enqueuedUntil, taskIdPrefix, priority, tag } = selection;
  return (
    row.accountId === accountId &&
    (functionName === undefined || row.functionName === functionName) &&
    (status === undefined || row.status === status) &&
    (enqueuedFrom === undefined || row.enqueuedAt >= enqueuedFrom) &&
    (enqueuedUntil === undefined || row.enqueuedAt < enqueuedUntil) &&
    (taskIdPrefix === undefined || row.taskId.startsWith(taskIdPrefix)) &&
    (priority === undefined || row.priority === priority) &&
    (tag === undefined || row.tags.includes(tag))
  );
}
