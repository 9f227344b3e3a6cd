// Loop: picks the next numbers in order, reads their rows, decides, and sends attempts to agents. No write happens between
// pull and dispatch. Rows of earlier owners wait until every agent that may be running them has answered (`hold`).
import { flowKey, type Loop, type Seq } from "@sluice/core";
import type { DispatchAttempt, FunctionSpec } from "@sluice/protocol";
import type { FunctionRecord, TaskRow } from "@sluice/store";
import type { AgentLink, PartitionPort } from "../agents/link.ts";
import { type Placing, place, roomFor } from "../agents/place.ts";
import { joinAgent, leaveAgent, type PartitionContext, pushWrite, putBack } from "./context.ts";
import { functionSpec } from "./function-spec.ts";
import type { ActiveTask, Origin } from "./memory.ts";
import { lostWrite, refusedWrite } from "./outcome.ts";
import { planRow } from "./plan.ts";
import { ackFinished } from "./pull.ts";

const retryMs = 200;
/** Rows of a partition that may be held, about; after that, flows that have some wait as a whole. */
const heldMax = 10_000;

export function dispatchLoop(context: PartitionContext, port: PartitionPort, startAt: number): Loop {
  const { clock, config } = context;
  return async (signal) => {
    // Give the agents a moment to answer before rows are held back.
    while (!signal.aborted && context.unanswered.size > 0 && clock.monotonic() < startAt) {
      await context.wakeDispatch.wait(signal, startAt - clock.monotonic());
    }
    while (!signal.aborted) {
      const picked = context.draining || !context.isTrusted() ? [] : pick(context);
      if (picked.length === 0) await context.wakeDispatch.wait(signal, config.unparkEveryMs);
      else await dispatchBatch(context, port, picked, signal);
    }
  };
}

/** The next numbers, at most as many as their agents have room for. */
function pick(context: PartitionContext): ActiveTask[] {
  const { order, memory } = context;
  const links = context.agents.links.filter((link) => link.isAttached(context.owner));
  let room = Math.min(
    context.config.batchSize,
    links.reduce((sum, link) => sum + link.free, 0),
  );
  const roomOfFlow = new Map<string, number>();
  const picked: ActiveTask[] = [];
  const now = context.clock.now();
  order.unblockAll();
  while (room > 0) {
    const waiting = order.peek();
    if (!waiting) break;
    const { origin } = waiting;
    const seq = waiting.seqs[waiting.next] as Seq;
    if (!memory.has(seq) || memory.active(seq)) {
      // Finished, or named by an agent, since it was put in order.
      order.take(0);
      waiting.next++;
      continue;
    }
    const key = flowKey(origin);
    const left = roomOfFlow.get(key) ?? (isHeldBack(context, key) ? 0 : flowRoom(context, links, origin));
    roomOfFlow.set(key, left - 1);
    if (left <= 0) {
      order.block(origin);
      continue;
    }
    order.take();
    waiting.next++;
    const task = memory.activate(seq, origin, "reading");
    task.dequeuedAt = now;
    picked.push(task);
    room--;
  }
  return picked;
}

/** Many of its rows wait for agents that have not answered: reading more would only fill the memory. */
function isHeldBack({ unanswered, held }: PartitionContext, key: string): boolean {
  return unanswered.size > 0 && held.count >= heldMax && held.flows.has(key);
}

function flowRoom(context: PartitionContext, links: readonly AgentLink[], origin: Origin): number {
  const known = context.functions.peek(origin);
  if (!known) return Number.POSITIVE_INFINITY;
  const placing = placingOf(known);
  return links.reduce((sum, link) => sum + roomFor(link, placing), 0);
}

function placingOf({ revision, settings }: FunctionRecord): Placing {
  return { revision, instanceConcurrency: settings.instanceConcurrency, instancesMax: settings.instancesMax };
}

async function dispatchBatch(
  context: PartitionContext,
  port: PartitionPort,
  picked: readonly ActiveTask[],
  signal: AbortSignal,
): Promise<void> {
  context.dispatching++;
  try {
    const [rows, functions] = await Promise.all([
      context.store.lanes.read(
        context.owner,
        picked.map(({ seq }) => seq),
      ),
      context.functions.read(picked.map(({ origin }) => origin)),
    ]);
    if (signal.aborted) return;
    if (rows === "stale") {
      context.stepDown("a read was refused by the floor");
      return;
    }
    act(context, port, picked, new Map(rows.map((row) => [row.seq, row])), functions);
  } catch (cause) {
    if (signal.aborted) return;
    context.log.warn("cannot read rows", { cause: String(cause) });
    for (const task of picked) if (isReading(context, task)) putBack(context, task);
    await context.clock.sleep(retryMs, signal);
  } finally {
    context.dispatching--;
  }
}

/** Whether nobody else has decided about the task while its row was read. */
function isReading(context: PartitionContext, task: ActiveTask): boolean {
  return task.state === "reading" && context.memory.active(task.seq) === task;
}

function act(
  context: PartitionContext,
  port: PartitionPort,
  picked: readonly ActiveTask[],
  rows: ReadonlyMap<number, TaskRow>,
  functions: ReadonlyMap<string, FunctionRecord | undefined>,
): void {
  const { memory, owner } = context;
  const now = context.clock.now();
  const batches = new Map<AgentLink, Batch>();
  for (const task of picked) {
    if (!isReading(context, task)) continue;
    const row = rows.get(task.seq);
    const key = flowKey(task.origin);
    task.function = functions.get(key);
    const facts = { now, ...owner, lane: task.origin.lane, function: task.function };
    const plan = planRow(row, {
      ...facts,
      allAnswered: context.unanswered.size === 0,
      isSuspect: context.suspects.has(task.seq),
    });
    if (plan.kind === "hold") {
      task.state = "held";
      context.held.count++;
      context.held.flows.add(key);
      context.metrics.held.inc();
      continue;
    }
    const reportedBy = context.suspects.get(task.seq);
    context.suspects.delete(task.seq);
    if (plan.kind === "forget" || row === undefined) {
      memory.forget(task.seq);
      continue;
    }
    const { payload, ...rest } = row;
    task.row = rest;
    task.attempt = row.attempt;
    switch (plan.kind) {
      case "dispatch":
        assign(context, task, row, batches);
        break;
      case "stop":
      case "expire":
      case "invalid":
        refuse(context, task, plan.kind);
        break;
      case "lost":
        task.state = "settling";
        pushWrite(context, { write: lostWrite(task, factsOf(context, task)), confirmTo: reportedBy });
        break;
    }
  }
  for (const [link, batch] of batches) send(context, port, link, batch);
  ackFinished(context);
}

interface Batch {
  readonly tasks: ActiveTask[];
  readonly attempts: DispatchAttempt[];
  readonly functions: Map<number, FunctionSpec>;
}

/** Gives the attempt to an agent with room, or puts it back if nobody has any. */
function assign(context: PartitionContext, task: ActiveTask, row: TaskRow, batches: Map<AgentLink, Batch>): void {
  const record = task.function;
  if (!record) return;
  const placing = placingOf(record);
  const links = context.agents.links.filter((link) => link.isAttached(context.owner));
  const link = place(links, placing, context.random);
  if (!link) {
    putBack(context, task);
    return;
  }
  task.state = "dispatched";
  joinAgent(task, link);
  let batch = batches.get(link);
  if (!batch) {
    batch = { tasks: [], attempts: [], functions: new Map() };
    batches.set(link, batch);
  }
  batch.tasks.push(task);
  batch.functions.set(record.revision, functionSpec(record));
  batch.attempts.push({
    seq: task.seq,
    attempt: row.attempt,
    queue: context.owner.queue,
    lane: row.lane,
    epoch: context.owner.epoch,
    expiresAtMs: row.expiresAt ?? 0,
    functionRevision: record.revision,
    taskId: row.taskId,
    retries: row.retries,
    payload: Buffer.from(row.payload.buffer, row.payload.byteOffset, row.payload.byteLength),
  });
}

function send(context: PartitionContext, port: PartitionPort, link: AgentLink, batch: Batch): void {
  if (link.dispatch(port, batch.attempts, batch.functions.values())) {
    context.metrics.dispatched.inc(batch.attempts.length);
    context.dispatched += batch.attempts.length;
    context.log.debug("dispatched attempts", {
      agentId: link.agentId,
      taskIds: batch.attempts.map(({ taskId }) => taskId),
    });
    return;
  }
  // Nothing was sent, so nothing can be running.
  for (const task of batch.tasks) putBack(context, task);
}

function refuse(context: PartitionContext, task: ActiveTask, kind: "stop" | "expire" | "invalid"): void {
  const now = context.clock.now();
  leaveAgent(task);
  task.state = "settling";
  const write =
    kind === "stop"
      ? refusedWrite(task, "Stopped", undefined, now)
      : kind === "expire"
        ? refusedWrite(task, "Expired", { type: "Expired", message: "not started before its expiry", body: "" }, now)
        : refusedWrite(
            task,
            "Invalid",
            { type: "FunctionNotFound", message: "its function does not exist any more", body: "" },
            now,
          );
  pushWrite(context, { write, confirmTo: undefined });
}

/** What the outcome of an attempt is decided by. */
export function factsOf(context: PartitionContext, task: ActiveTask) {
  return {
    now: context.clock.now(),
    // A function that is gone gets no retries.
    maxAsyncRetryAttempts: task.function?.settings.maxAsyncRetryAttempts ?? 0,
    lostAttemptsMax: context.config.lostAttemptsMax,
    random: context.random,
  };
}
