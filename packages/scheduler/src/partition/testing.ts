import { type Clock, createExpectedCosts, createFairOrder, type Priority, type Seq, TaskId } from "@sluice/core";
import { aFlow, FakeClock, seededRandom } from "@sluice/core/testing";
import type { DispatchAttempt } from "@sluice/protocol";
import { silentLogger } from "@sluice/runtime";
import type { FunctionRecord, TaskRow } from "@sluice/store";
import { Registry } from "prom-client";
import { onTestFinished } from "vitest";
import type { RoomWanted } from "../agents/agent-room.ts";
import type { AgentLink, PartitionPort } from "../agents/link.ts";
import { createPace } from "../agents/pace.ts";
import { createShards } from "../agents/shards.ts";
import { ShareRefusals } from "../agents/share-refusals.ts";
import type { BatchControl } from "../batch-control.ts";
import { defaultSchedulerConfig } from "../config.ts";
import { schedulerMetrics } from "../metrics.ts";
import { createWakes, type PartitionContext, putInOrder } from "./context.ts";
import { dispatchLoop } from "./dispatch.ts";
import { outdatedGate } from "./gates/outdated.ts";
import { allGates } from "./gates.ts";
import type { KnownRoute } from "./limits.ts";
import { createMemory, type Waiting } from "./memory.ts";
import type { Overflown } from "./overflow/overflown.ts";
import { PendingWrites } from "./pending-writes.ts";
import { createPreempting } from "./preempting.ts";
import { createSights } from "./sights.ts";

export const epoch = 5;
export const echo = aFlow();
/** It never had a queue of its own. */
export const unrouted: KnownRoute = { dedicatedQueue: undefined, unchangedMs: 60_000, wasRouted: false };

export const nothingPaused: BatchControl = {
  isUsable: () => true,
  holds: () => false,
  pauseOf: () => undefined,
  isPausedUntil: () => false,
  filterPauses: [],
  operations: [],
  version: 0,
  watch: () => () => undefined,
  run: async () => undefined,
};

export interface DispatchOptions {
  readonly batchControl?: BatchControl;
  readonly unanswered?: readonly string[];
  /** Of every function; 0: none has room. */
  readonly instancesMax?: number;
  /** How long it takes to look for the room of a flow. */
  readonly lookMs?: number;
  /** How long it takes to read rows. */
  readonly readMs?: number;
  /** Agents, each with so many slots. Default: one with 1,000. */
  readonly agents?: number;
  readonly slots?: number;
  /** Whether tasks of every function may be stopped for urgent ones. */
  readonly preemptible?: boolean;
  /** Of every function; default: no limit. */
  readonly concurrencyMax?: number;
  /** What each agent tells that it may stop, by priority. Default: nothing. */
  readonly stoppable?: Readonly<Record<string, readonly number[]>>;
}

/** A partition that only dispatches, to one agent that takes everything. Ends with the test. */
export function startDispatching(options: DispatchOptions = {}) {
  const clock = new FakeClock();
  const { unanswered = [], instancesMax = 1_000, lookMs = 0, readMs = 0 } = options;
  let looks = 0;
  const rows = new Map<Seq, TaskRow>();
  const reads: Seq[][] = [];
  const frames: DispatchAttempt[][] = [];
  const { agents = 1, slots = 1_000 } = options;
  const questions: (RoomWanted & { readonly agentId: string; readonly question: number })[] = [];
  const sentTo = new Map<Seq, string>();
  function aLink(agentId: string) {
    const link = {
      agentId,
      get free() {
        return slots - link.used;
      },
      used: 0,
      usedOfRevision: new Map<number, number>(),
      warm: new Set<number>(),
      usedWhenWarm: new Map<number, number>(),
      instancesMax: 10_000,
      memoryMaxMb: Number.POSITIVE_INFINITY,
      isOpen: true,
      isAttached: () => link.isOpen,
      dispatch(_port: PartitionPort, attempts: DispatchAttempt[]) {
        frames.push(attempts);
        for (const { seq } of attempts) sentTo.set(seq, agentId);
        return true;
      },
      get preemptible() {
        return options.stoppable?.[agentId] ?? [];
      },
      mayBeAskedForRoom: true,
      shareRefusals: new ShareRefusals(clock),
      makeRoom(_port: PartitionPort, wanted: RoomWanted) {
        const question = questions.length + 1;
        questions.push({ agentId, question, ...wanted });
        return question;
      },
    };
    return link as unknown as AgentLink;
  }
  const links = Array.from({ length: agents }, (_, index) => aLink(`a${index + 1}`));
  const busyClock: Clock = {
    now: () => clock.now(),
    monotonic: () => clock.monotonic() + looks * lookMs,
    sleep: (ms, signal) => clock.sleep(ms, signal),
    timer: (ms, callback) => clock.timer(ms, callback),
  };
  const record = {
    revision: 1,
    settings: {
      ...{ instanceConcurrency: 1_000, instancesMax, memoryMb: 128, preemptible: options.preemptible ?? false },
      concurrencyMax: options.concurrencyMax ?? 0,
    },
  } as FunctionRecord;
  const context = {
    pace: createPace(),
    ...createWakes(clock),
    owner: { queue: "q0", prefix: "", epoch },
    clock: busyClock,
    random: seededRandom(1),
    log: silentLogger,
    metrics: schedulerMetrics(new Registry()),
    config: { ...defaultSchedulerConfig, schedulerId: "s1" },
    isTrusted: () => true,
    memory: createMemory(),
    order: createFairOrder<Waiting>(),
    costs: createExpectedCosts(),
    gates: allGates([outdatedGate(clock)]),
    pending: new PendingWrites(),
    unanswered: new Set(unanswered),
    suspects: new Map(),
    held: { count: 0, flows: new Set<string>() },
    draining: false,
    dispatching: 0,
    dispatched: 0,
    payloadBytes: 0,
    sights: createSights(clock),
    preempting: createPreempting(),
    overflown: new Map<string, Overflown>(),
    expiredAtTurn: undefined,
    blockedUntil: 0,
    heldBackAt: new Map<string, number>(),
    growsAt: Number.POSITIVE_INFINITY,
    key: "q0/-",
    batchControl: options.batchControl ?? nothingPaused,
    agents: { links },
    shards: createShards({ clock, links: () => links }),
    functions: {
      peek() {
        looks += 1;
        return record;
      },
      isUsable: () => true,
      read: async (flows: readonly (typeof echo)[]) =>
        new Map(flows.map(({ accountId, functionName }) => [`${accountId}/${functionName}`, record])),
    },
    accounts: { peek: () => undefined, knows: () => true, read: async () => new Map(), isUsable: () => true },
    routes: { of: () => unrouted, ageMs: () => 700 },
    queues: ["q0"],
    store: {
      lanes: {
        async read(_owner: unknown, seqs: readonly Seq[]) {
          reads.push([...seqs]);
          if (readMs > 0) await clock.sleep(readMs, stop.signal);
          return seqs.flatMap((seq) => rows.get(seq) ?? []);
        },
      },
    },
  } as unknown as PartitionContext;

  let lastSeq = 0;
  /** Tasks in one block, whose rows have this payload and stamp. */
  function deliver(
    count: number,
    {
      flow = echo,
      bytes = 1,
      stamp = epoch,
      lostAttempts = 0,
      attempt = 1,
      retries = 0,
      priority = 2 as Priority,
      row = {} as Partial<TaskRow> | null,
    } = {},
  ): void {
    const seqs = Array.from({ length: count }, () => ++lastSeq);
    const own = { ...flow, stamp, lostAttempts, attempt, retries, payload: new Uint8Array(bytes) };
    if (row) for (const seq of seqs) rows.set(seq, { ...aRow(seq), ...own, ...row });
    const block = { ...flow, queue: "q0", lane: 0, priority, seqs, enqueuedAt: lastSeq };
    const waiting = context.memory.enter({ block, deliveryCount: 1 });
    if (waiting) putInOrder(context, waiting);
    context.wakeDispatch.notify();
  }

  const stop = new AbortController();
  const done = dispatchLoop(context, {} as PartitionPort, 0)(stop.signal);
  onTestFinished(async () => {
    stop.abort();
    await done;
  });
  return {
    ...{ clock, context, reads, frames, questions, sentTo, links, deliver },
    get looks() {
      return looks;
    },
  };
}

function aRow(seq: Seq): TaskRow {
  return {
    ...echo,
    seq,
    taskId: TaskId(`t${seq}`),
    lane: 0,
    status: "Enqueued",
    priority: 2,
    attempt: 1,
    retries: 0,
    lostAttempts: 0,
    stamp: epoch,
    enqueuedAt: 0,
    announcedAt: 0,
    dueAt: undefined,
    expiresAt: undefined,
    endedAt: undefined,
    stopRequested: false,
    tags: [],
    payload: new Uint8Array(),
  };
}
