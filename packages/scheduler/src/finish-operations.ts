// Loop of the leader: finishes operations whose lanes are all done, unless something of them is left.
//
//   lanes done ──page after page of what may be left──▶ nothing found ──▶ finished
//    ▲                       └── found: its lanes are open again, and worked off by their owners
//    └──────────────────────────┘
//
// A `finish` that fails is tried again by itself. A new leader begins with the first page: where the last one was is not stored.
// Apart from `batch-control.ts`: what is paused must be known in time, however long this takes. One page of each operation in
// turn: the whole history of one account does not hold up the operations of others. Two leaders at once do no harm.
import { type Clock, createWake, type Loop } from "@sluice/core";
import { controlTopic, type Signals } from "@sluice/queue";
import type { Logger } from "@sluice/runtime";
import type { ControlRecords, LeftPage, OperationRecord } from "@sluice/store";
import type { BatchControl } from "./batch-control.ts";

export interface FinishOperationsDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly store: { readonly control: Pick<ControlRecords, "reopen" | "finish"> };
  readonly signals: Signals;
  readonly batchControl: Pick<BatchControl, "operations" | "watch">;
  readonly isLeading: () => boolean;
}

/** Rows that are looked at in one statement: up to 150 ms, for what is to be stopped four times as long. */
const pageMax = 5_000;
const lookEveryMs = 1_000;
/** After a failure, or when something was left, of the same operation; doubles with every failure after another. */
const restMs = { first: 1_000, max: 60_000 };

/** How far an operation is looked through. */
interface Walk {
  after: LeftPage["last"];
  /** To its end, and nothing was left: only `finish` is missing. */
  isThrough: boolean;
  restsUntil: number;
  restMs: number;
}

export function finishOperationsLoop(deps: FinishOperationsDeps): Loop {
  const { clock, log, store, signals, batchControl, isLeading } = deps;
  const wake = createWake(clock);
  /** By number, of operations whose lanes are done. */
  const walks = new Map<number, Walk>();

  function finishable(): OperationRecord[] {
    if (!isLeading()) return [];
    return batchControl.operations.filter(({ openLanes }) => openLanes.length === 0).map(({ operation }) => operation);
  }

  /** One page of each; whether any has another one. */
  async function round(signal: AbortSignal): Promise<boolean> {
    const operations = finishable();
    const numbers = new Set(operations.map(({ number }) => number));
    for (const number of walks.keys()) if (!numbers.has(number)) walks.delete(number);
    let goesOn = false;
    for (const operation of operations) {
      const walk = walks.get(operation.number) ?? newWalk();
      walks.set(operation.number, walk);
      if (signal.aborted || clock.monotonic() < walk.restsUntil) continue;
      if (await goOn(operation, walk)) goesOn = true;
      else walk.restsUntil = clock.monotonic() + walk.restMs;
    }
    return goesOn;
  }

  /** Whether there is another page to look at. */
  async function goOn(operation: OperationRecord, walk: Walk): Promise<boolean> {
    const { operationId } = operation;
    try {
      const found = walk.isThrough ? "nothing" : await lookOn(operation, walk);
      if (found !== "nothing") return found === "another page";
      if (await store.control.finish(operation)) log.info("finished an operation", { operationId });
      // A lane is open, or was just opened: what comes of that is looked at, too.
      else walk.isThrough = false;
      walk.restMs = restMs.first;
    } catch (cause) {
      // What was looked at is not looked at again.
      walk.restMs = Math.min(2 * walk.restMs, restMs.max);
      log.warn("cannot finish an operation", { operationId, cause: String(cause) });
    }
    return false;
  }

  /** The next page. */
  async function lookOn(operation: OperationRecord, walk: Walk): Promise<"left" | "another page" | "nothing"> {
    const { operationId } = operation;
    const { left, last } = await store.control.reopen(operation, { after: walk.after, limit: pageMax });
    walk.after = left > 0 ? undefined : last;
    walk.isThrough = left === 0 && last === undefined;
    if (left > 0) {
      signals.send(controlTopic, "");
      log.info("tasks of an operation are left in lanes that were done", { operationId, lanes: left });
      return "left";
    }
    walk.restMs = restMs.first;
    return last === undefined ? "nothing" : "another page";
  }

  return async (signal) => {
    const stop = batchControl.watch(() => wake.notify());
    try {
      while (!signal.aborted) {
        if (!(await round(signal))) await wake.wait(signal, lookEveryMs);
      }
    } finally {
      stop();
    }
  };
}

function newWalk(): Walk {
  return { after: undefined, isThrough: false, restsUntil: 0, restMs: restMs.first };
}
