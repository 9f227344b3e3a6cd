// Loop: picks the next numbers in order, reads their rows, decides, and sends attempts to agents. No write happens between
// pull and dispatch. Rows of earlier owners wait until every agent that may be running them has answered (`hold`).
import { type AccountId, type Flow, type Home, type Loop, lanesOf } from "@sluice/core";
import type { DispatchAttempt } from "@sluice/protocol";
import {
  expiredError,
  type FunctionRecord,
  type ParkWrite,
  type PauseRecord,
  pausedUntil,
  type TaskRow,
} from "@sluice/store";
import type { AgentLink, PartitionPort } from "../agents/link.ts";
import { type Placing, place } from "../agents/place.ts";
import { joinAgent, leaveAgent, type PartitionContext, passBy, pushWrite, putBack } from "./context.ts";
import { endTask, loseTask } from "./ends.ts";
import type { Others } from "./gates.ts";
import { flowLimits, routesKnownAt } from "./homes.ts";
import type { FlowLimits } from "./limits.ts";
import { type ActiveTask, rememberRow } from "./memory.ts";
import { refusedWrite } from "./outcome.ts";
import { pick } from "./pick.ts";
import { planRow } from "./plan.ts";
import { mayBePreempted } from "./preempting.ts";
import { ackFinished } from "./pull.ts";
import { placingOf } from "./room.ts";

const retryMs = 200;

export function dispatchLoop(context: PartitionContext, port: PartitionPort, startAt: number): Loop {
  const { clock, config } = context;
  return async (signal) => {
    // Give the agents a moment to answer before rows are held back.
    while (!signal.aborted && context.unanswered.size > 0 && clock.monotonic() < startAt) {
      await context.wakeDispatch.wait(signal, startAt - clock.monotonic());
    }
    while (!signal.aborted) {
      const passesOverMs = context.blockedUntil - clock.monotonic();
      for (const flow of context.gates.due()) context.order.unblock(flow);
      const picked = context.draining || !context.isTrusted() ? [] : pick(context);
      if (picked.length === 0) {
        const growsInMs = context.growsAt - clock.monotonic();
        const waitMs = passesOverMs > 0 ? passesOverMs : config.unparkEveryMs;
        const roomInMs = context.gates.dueAt() - clock.monotonic();
        await context.wakeDispatch.wait(signal, Math.max(1, Math.min(waitMs, growsInMs, roomInMs)));
      } else await dispatchBatch(context, port, picked, signal);
    }
  };
}

async function dispatchBatch(
  context: PartitionContext,
  port: PartitionPort,
  picked: readonly ActiveTask[],
  signal: AbortSignal,
): Promise<void> {
  context.dispatching++;
  // A row that was read before everybody had answered may be behind by the time the last one has: another owner may have taken
  // over meanwhile, and given its task the next attempt. Only the floors of agents that have met that owner would refuse it.
  const allAnswered = context.unanswered.size === 0;
  try {
    const seqs = picked.map(({ seq }) => seq);
    const flows = new Map(picked.map(({ flowKey, origin }) => [flowKey, origin]));
    const [rows, functions] = await Promise.all([
      context.store.lanes.read(context.owner, seqs),
      context.functions.read([...flows.values()]),
      readAccounts(context, [...new Set(picked.map(({ origin }) => origin.accountId))]),
    ]);
    if (signal.aborted) return;
    if (rows === "stale") {
      context.stepDown("a read was refused by the floor");
      return;
    }
    if (rows.length > 0) {
      context.payloadBytes = rows.reduce((sum, { payload }) => sum + payload.byteLength, 0) / rows.length;
    }
    weigh(context, flows, functions);
    act(context, port, picked, { rows: new Map(rows.map((row) => [row.seq, row])), functions, allAnswered });
  } catch (cause) {
    if (signal.aborted) return;
    context.log.warn("cannot read rows", { cause: String(cause) });
    for (const task of picked) if (isReading(context, task)) putBack(context, task);
    await context.clock.sleep(retryMs, signal);
  } finally {
    context.dispatching--;
  }
}

/** With what is kept for functions, of those of which no more may run than that. */
async function readAccounts({ accounts, reserved }: PartitionContext, ids: readonly AccountId[]): Promise<void> {
  const found = await accounts.read(ids);
  const limited = ids.filter((id) => (found.get(id)?.settings.concurrencyMax ?? 0) > 0);
  if (limited.length > 0) await reserved.read(limited);
}

/** A change of weights counts from the next batch of the flow on. */
function weigh(
  { order, accounts }: PartitionContext,
  flows: ReadonlyMap<string, Flow>,
  functions: ReadonlyMap<string, FunctionRecord | undefined>,
): void {
  for (const [key, flow] of flows) {
    const account = accounts.peek(flow.accountId)?.settings.weight ?? 1;
    order.weigh(flow, { account, flow: functions.get(key)?.settings.weight ?? 1 });
  }
}

/** Whether nobody else has decided about the task while its row was read. */
function isReading(context: PartitionContext, task: ActiveTask): boolean {
  return task.state === "reading" && context.memory.active(task.seq) === task;
}

interface BatchRead {
  readonly rows: ReadonlyMap<number, TaskRow>;
  readonly functions: ReadonlyMap<string, FunctionRecord | undefined>;
  /** Whether every agent that may run attempts of earlier owners had answered or was dead when the read began. */
  readonly allAnswered: boolean;
}

function act(
  context: PartitionContext,
  port: PartitionPort,
  picked: readonly ActiveTask[],
  { rows, functions, allAnswered }: BatchRead,
): void {
  const { memory, owner, suspects } = context;
  const { epoch, prefix } = owner;
  const facts = { now: context.clock.now(), epoch, queue: owner.queue, lanes: lanesOf(prefix), allAnswered };
  const assignments = new Assignments(context);
  const undecided = new Undecided(picked.filter((task) => isReading(context, task)));
  for (const task of picked) {
    if (!isReading(context, task)) continue;
    undecided.leave(task);
    const row = rows.get(task.seq);
    const { lane } = task.origin;
    task.function = functions.get(task.flowKey);
    const isSuspect = suspects.size > 0 && suspects.has(task.seq);
    const limits = flowLimits(context, task.origin, task.function);
    const pause = row && context.batchControl.pauseOf(row);
    const known = { lane, isSuspect, function: task.function, home: limits?.home, isPaused: pause !== undefined };
    const plan = planRow(row, known, facts);
    if (plan === "hold") {
      // Those that were held were put back when the last agent answered.
      if (context.unanswered.size === 0) putBack(context, task);
      else hold(context, task);
      continue;
    }
    const suspect = suspects.get(task.seq);
    task.witnesses = suspect?.witnesses;
    suspects.delete(task.seq);
    if (plan === "forget" || row === undefined) {
      if (suspect && (row?.endedAt !== undefined || (row?.attempt ?? 0) > suspect.attempt)) {
        const ref = { seq: task.seq, attempt: suspect.attempt, queue: owner.queue, lane };
        for (const link of suspect.witnesses) link.confirm(port, [ref]);
      }
      passBy(context, task);
      memory.forget(task.seq);
      continue;
    }
    rememberRow(task, row);
    task.stopMarked = row.stopRequested;
    if (plan === "dispatch") {
      if (mayStart(context, task, undecided)) assignments.add(task, row, limits);
      else putBack(context, task);
    } else if (plan === "pause") parkUntilResumed(context, task, row, pause);
    else if (plan === "move") move(context, task, row, limits?.home);
    else if (plan === "lost") {
      if (suspect?.end?.attempt === row.attempt) endTask(context, suspect.end.link, task, suspect.end);
      else loseTask(context, task);
    } else refuse(context, task, plan);
  }
  for (const batch of assignments.batches) send(context, port, batch);
  ackFinished(context);
}

/** Those of a batch about which nothing was decided yet: they count as active already. */
class Undecided {
  readonly #ofFlow = new Map<string, number>();
  readonly #ofAccount = new Map<string, number>();

  constructor(tasks: readonly ActiveTask[]) {
    for (const task of tasks) this.#add(task, 1);
  }

  leave(task: ActiveTask): void {
    this.#add(task, -1);
  }

  /** Attempts besides this one, of which was decided, and those that are undecided. */
  others({ memory }: PartitionContext, { flowKey, origin: { accountId } }: ActiveTask): Others {
    const activeOf = (key: string) => memory.activeOf(key) - (this.#ofFlow.get(key) ?? 0);
    return {
      ofFlow: activeOf(flowKey) - 1,
      ofAccount: memory.activeOfAccount(accountId) - (this.#ofAccount.get(accountId) ?? 0) - 1,
      activeOf,
    };
  }

  #add({ flowKey, origin: { accountId } }: ActiveTask, change: 1 | -1): void {
    this.#ofFlow.set(flowKey, (this.#ofFlow.get(flowKey) ?? 0) + change);
    this.#ofAccount.set(accountId, (this.#ofAccount.get(accountId) ?? 0) + change);
  }
}

/** What is remembered of a function or an account may have become too old while the rows were read. */
function mayStart(context: PartitionContext, task: ActiveTask, undecided: Undecided): boolean {
  const { functions, accounts, gates } = context;
  const { origin, flowKey, function: record } = task;
  const { accountId } = origin;
  if (!functions.isUsable(origin, record) || !accounts.isUsable(accountId, accounts.peek(accountId))) return false;
  const others = undecided.others(context, task);
  return gates.admits({ origin, flowKey, function: record, active: others.ofFlow }, task, others);
}

/** The pause ends it. */
function parkUntilResumed(
  context: PartitionContext,
  task: ActiveTask,
  row: TaskRow,
  pause: PauseRecord | undefined,
): void {
  passBy(context, task);
  task.state = "settling";
  context.metrics.paused.inc();
  const write = parkAsItIs(row, { reason: "pause", dueAt: pausedUntil(pause?.number ?? 0) });
  pushWrite(context, { write, confirmTo: undefined });
}

/** To the one lane of its flow, in one write; the owner of that lane takes it out of its parking. */
function move(context: PartitionContext, task: ActiveTask, row: TaskRow, moveTo: Home | undefined): void {
  passBy(context, task);
  task.state = "settling";
  context.metrics.moved.inc();
  const write = { ...parkAsItIs(row, { reason: "throttle", dueAt: context.clock.now() }), moveTo };
  pushWrite(context, { write, confirmTo: undefined });
}

/** Its attempt has not begun, and is not counted. */
function parkAsItIs(row: TaskRow, parking: Pick<ParkWrite, "reason" | "dueAt">): ParkWrite {
  const { seq, lane, attempt, announcedAt, retries, lostAttempts } = row;
  return {
    ...{ kind: "park", seq, attempt, lane, nextAttempt: attempt, announcedAt, retries, lostAttempts, ...parking },
    status: row.status === "Retrying" ? "Retrying" : "Enqueued",
    error: undefined,
    events: [],
  };
}

function hold(context: PartitionContext, task: ActiveTask): void {
  task.state = "held";
  context.held.count++;
  context.held.flows.add(task.flowKey);
  context.metrics.held.inc();
}

/** Attempts that go to an agent in one frame. */
interface Batch {
  readonly link: AgentLink;
  readonly tasks: ActiveTask[];
  readonly attempts: DispatchAttempt[];
  readonly functions: Map<number, FunctionRecord>;
  bytes: number;
}

interface Candidates {
  readonly all: readonly AgentLink[];
  readonly first: readonly AgentLink[];
}

/** Well below what one message may have; a larger payload goes alone. */
const frameBytesMax = 1024 * 1024;

class Assignments {
  readonly batches: Batch[] = [];
  readonly #open = new Map<AgentLink, Batch>();
  readonly #context: PartitionContext;
  /** By flow: the agents of its shard that are attached. */
  readonly #candidates = new Map<string, Candidates>();

  constructor(context: PartitionContext) {
    this.#context = context;
  }

  /** Gives the attempt to an agent with room, or puts it back if nobody has any. */
  add(task: ActiveTask, row: TaskRow, limits: FlowLimits | undefined): void {
    const record = task.function;
    if (!record) return;
    const link = this.#keptFor(task) ?? this.#place(task, placingOf(this.#context, record));
    if (!link) {
      putBack(this.#context, task);
      return;
    }
    task.state = "dispatched";
    joinAgent(task, link);
    const batch = this.#batchFor(link, row.payload.byteLength);
    const { queue, epoch } = this.#context.owner;
    batch.tasks.push(task);
    batch.functions.set(record.revision, record);
    batch.attempts.push({
      seq: task.seq,
      attempt: row.attempt,
      queue,
      lane: row.lane,
      epoch,
      expiresAtMs: row.expiresAt ?? 0,
      functionRevision: record.revision,
      taskId: row.taskId,
      retries: row.retries,
      payload: Buffer.from(row.payload.buffer, row.payload.byteOffset, row.payload.byteLength),
      limitsVersion: [...(limits?.version ?? [])],
      ...(limits?.home && { routesKnownAtMs: routesKnownAt(this.#context) }),
      priority: task.origin.priority,
      preemptible: mayBePreempted(task),
    });
  }

  /** The agent that has made room for it. A task that was lost with an agent keeps to the first ones, as in any other case. */
  #keptFor(task: ActiveTask): AgentLink | undefined {
    const { preempting } = this.#context;
    const link = preempting.keptFor.get(task);
    preempting.keptFor.delete(task);
    if (!link) return undefined;
    const { all, first } = this.#candidatesOf(task.flowKey);
    return (task.lostAttempts > 0 ? first : all).includes(link) ? link : undefined;
  }

  #place(task: ActiveTask, placing: Placing): AgentLink | undefined {
    const { random } = this.#context;
    const { all, first } = this.#candidatesOf(task.flowKey);
    // It may be what its agents died of: in a shard that has grown it keeps to those that any task of the flow would reach.
    const preferred = task.lostAttempts > 0 && first.length < all.length ? place(first, placing, random) : undefined;
    return preferred ?? place(all, placing, random);
  }

  #candidatesOf(flowKey: string): Candidates {
    const known = this.#candidates.get(flowKey);
    if (known) return known;
    const { shards, key } = this.#context;
    const isAttached = (link: AgentLink) => link.isAttached(key);
    const shard = shards.of(flowKey);
    const candidates = { all: shard.links.filter(isAttached), first: shard.first.filter(isAttached) };
    this.#candidates.set(flowKey, candidates);
    return candidates;
  }

  #batchFor(link: AgentLink, bytes: number): Batch {
    let batch = this.#open.get(link);
    if (batch === undefined || batch.bytes + bytes > frameBytesMax) {
      batch = { link, tasks: [], attempts: [], functions: new Map(), bytes: 0 };
      this.#open.set(link, batch);
      this.batches.push(batch);
    }
    batch.bytes += bytes;
    return batch;
  }
}

function send(context: PartitionContext, port: PartitionPort, { link, tasks, attempts, functions }: Batch): void {
  if (link.dispatch(port, attempts, functions.values())) {
    context.metrics.dispatched.inc(attempts.length);
    context.dispatched += attempts.length;
    context.log.debug("dispatched attempts", {
      agentId: link.agentId,
      taskIds: attempts.map(({ taskId }) => taskId),
    });
    return;
  }
  // Nothing of it was sent, so nothing can be running.
  for (const task of tasks) {
    task.state = "reading";
    putBack(context, task);
  }
}

function refuse(context: PartitionContext, task: ActiveTask, kind: "stop" | "expire" | "invalid"): void {
  const now = context.clock.now();
  leaveAgent(task);
  passBy(context, task);
  task.state = "settling";
  const write =
    kind === "stop"
      ? refusedWrite(task, "Stopped", undefined, now)
      : kind === "expire"
        ? refusedWrite(task, "Expired", expiredError, now)
        : refusedWrite(
            task,
            "Invalid",
            { type: "FunctionNotFound", message: "its function does not exist any more", body: "" },
            now,
          );
  pushWrite(context, { write, confirmTo: undefined });
  // More of them are behind it, and go faster in bulk.
  if (kind === "expire") {
    context.expiredAtTurn = task.origin.priority;
    context.wakeExpire.notify();
  }
}
