// Adaptive dispatch: each flow of the partition is given what its downstream takes, by explicit flow-control errors alone
// (`core/flow/adaptive.ts` has the formulas). Flows of other partitions are not known here: each owner finds its share.
import { type AdaptiveFlow, type AdaptiveStart, type Clock, createAdaptiveFlow, type Flow } from "@sluice/core";
import { OutcomeKind } from "@sluice/protocol";
import type { Logger } from "@sluice/runtime";
import type { SchedulerMetrics } from "../../metrics.ts";
import type { Gate, GatedFlow } from "../gates.ts";
import type { ActiveTask } from "../memory.ts";

export interface AdaptiveGateDeps {
  readonly clock: Pick<Clock, "monotonic">;
  readonly log: Logger;
  readonly metrics: Pick<SchedulerMetrics, "flowControlErrors" | "slowedFlows">;
}

export interface AdaptiveGate extends Gate {
  /** Flows that are held back now, and the sum of their rates per second. */
  slowedDown(): { readonly flows: number; readonly rate: number };
}

/**
 * Flows that are remembered; about 500 bytes each. When there are so many, one without a rate, a pause or attempts is forgotten for
 * the next; if none is found, that one goes on as if it were new.
 */
const flowsMax = 10_000;
/** Flows that an attempt of one that is not remembered looks at: each costs about as much as the attempt itself. */
const looksMax = 4;

interface Entry {
  readonly flow: Flow;
  readonly state: AdaptiveFlow;
  /** Times that it was slowed down, as far as that was told. */
  told: number;
}

/** Of an attempt that was picked here. */
interface Picked {
  readonly entry: Entry;
  readonly start: AdaptiveStart;
  /** False: its row is being read, or it is held. */
  isSent: boolean;
}

export function adaptiveGate({ clock, log, metrics }: AdaptiveGateDeps): AdaptiveGate {
  const entries = new Map<string, Entry>();
  /** Flows without room, and when time gives them some. */
  const waits = new Map<string, { readonly flow: Flow; readonly at: number }>();
  let firstAt = Number.POSITIVE_INFINITY;
  /** Where the search for those that may be forgotten goes on. */
  let search = entries.entries();
  /**
   * Attempts that an agent reported without having been picked here are not in it. Each counts from its pick on, as the flow
   * shrinks by the ends of others while its row is read: by the time of its sending it would belong to a later window.
   */
  const picks = new WeakMap<ActiveTask, Picked>();
  const busy = new WeakSet<ActiveTask>();

  /** Undefined: there is no room for it among those that are remembered. */
  function entryOf({ origin, flowKey }: Pick<GatedFlow, "origin" | "flowKey">): Entry | undefined {
    const known = entries.get(flowKey);
    if (known) return known;
    forgetSome();
    if (entries.size >= flowsMax) return undefined;
    const { accountId, functionName } = origin;
    const entry = { flow: { accountId, functionName }, state: createAdaptiveFlow(clock.monotonic()), told: 0 };
    entries.set(flowKey, entry);
    return entry;
  }

  /** The idle ones, and while there are too many one that is free. */
  function forgetSome(): void {
    const now = clock.monotonic();
    for (let looks = 0; looks < looksMax; looks++) {
      const next = search.next();
      if (next.done) {
        search = entries.entries();
        return;
      }
      const [key, { state }] = next.value;
      if (entries.size >= flowsMax ? state.isFree(now) : state.isIdle(now)) entries.delete(key);
    }
  }

  /** It has none now. */
  function waitForRoom(flowKey: string, { flow, state }: Entry, now: number): void {
    const at = state.roomAt(now);
    if (at === undefined) return;
    waits.set(flowKey, { flow, at });
    firstAt = Math.min(firstAt, at);
  }

  function takePick(task: ActiveTask): Picked | undefined {
    const picked = picks.get(task);
    picks.delete(task);
    return picked;
  }

  function tell(entry: Entry): void {
    const { flow, state, told } = entry;
    if (state.shrinks === told) return;
    metrics.slowedFlows.inc(state.shrinks - told);
    entry.told = state.shrinks;
    log.debug("slowed a flow down", { ...flow, rate: state.rate, concurrency: state.concurrency });
  }

  return {
    room(flow) {
      const entry = entries.get(flow.flowKey);
      if (!entry) return Number.POSITIVE_INFINITY;
      const now = clock.monotonic();
      entry.state.atMost(flow.active);
      const room = entry.state.room(now);
      tell(entry);
      if (room > 0) return room;
      waitForRoom(flow.flowKey, entry, now);
      return 0;
    },
    onPicked(flow, task) {
      const entry = entryOf(flow);
      if (!entry) return;
      const now = clock.monotonic();
      picks.set(task, { entry, start: entry.state.started(now), isSent: false });
      // The loop passes a flow without room over for a while, but for those of which it is told that they have some.
      if (entry.state.rate !== undefined && entry.state.room(now) <= 0) waitForRoom(flow.flowKey, entry, now);
    },
    admits(_flow, task) {
      const picked = picks.get(task);
      if (picked) picked.isSent = true;
      return true;
    },
    onBusy: (task) => {
      busy.add(task);
    },
    onReleased(task) {
      const isBusy = busy.delete(task);
      const picked = takePick(task);
      picked?.entry.state.released(clock.monotonic(), picked.start, { isBusy });
    },
    onEnded(task, { kind, retryAfterMs, errorType }) {
      // An agent that shuts down hands its attempts back in the same way; that says nothing about their downstream.
      const isThrottled = kind === OutcomeKind.FLOW_CONTROL && errorType !== "AgentDraining";
      if (isThrottled) metrics.flowControlErrors.inc();
      const now = clock.monotonic();
      const picked = takePick(task);
      if (picked?.isSent && picked.entry === entries.get(task.flowKey)) {
        picked.entry.state.ended(now, picked.start, isThrottled ? { retryAfterMs } : undefined);
        tell(picked.entry);
        return;
      }
      // An agent had it from an earlier owner, or its flow was forgotten: nobody here knows when it started.
      picked?.entry.state.released(now, picked.start);
      if (isThrottled && retryAfterMs > 0) entryOf(task)?.state.hold(now, retryAfterMs);
    },
    dueAt: () => firstAt,
    due() {
      const now = clock.monotonic();
      if (now < firstAt) return [];
      const ready: Flow[] = [];
      firstAt = Number.POSITIVE_INFINITY;
      for (const [key, { flow, at }] of waits) {
        if (at > now) firstAt = Math.min(firstAt, at);
        else {
          waits.delete(key);
          ready.push(flow);
        }
      }
      return ready;
    },
    slowedDown() {
      const now = clock.monotonic();
      let flows = 0;
      let rate = 0;
      for (const { state } of entries.values()) {
        if (state.isIdle(now) || (state.rate === undefined && now >= state.heldUntil)) continue;
        flows += 1;
        rate += state.rate ?? 0;
      }
      return { flows, rate };
    },
  };
}
