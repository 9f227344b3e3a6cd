// The store as one node sees it, and the record of what it really did.

import type { PauseHeld, StoreEvent } from "@sluice/checkers";
import type { Task } from "@sluice/core";
import type {
  AgentIncarnation,
  BatchRecords,
  LaneRecords,
  NewTask,
  OperationRecord,
  PauseRecord,
  Store,
} from "@sluice/store";
import { expiredError } from "@sluice/store";
import { SystemState } from "../model/system.ts";
import type { Port } from "./port.ts";

/** The one store of a world: does one thing after the other, and keeps the history. */
export class StoreServer {
  readonly store: Store;
  readonly system = new SystemState();
  readonly events: StoreEvent[] = [];
  readonly pauses: PauseHeld[] = [];
  /** Rows by account, function and task id. */
  readonly seqs = new Map<string, number>();
  readonly #now: () => number;
  #last: Promise<unknown> = Promise.resolve();

  constructor(store: Store, now: () => number) {
    this.store = store;
    this.#now = now;
  }

  /** Nothing else happens between an effect and its record. */
  exclusive<T>(effect: () => Promise<T>, record: (result: T, at: number) => void): Promise<T> {
    const done = this.#last.then(async () => {
      const result = await effect();
      record(result, this.#now());
      return result;
    });
    this.#last = done.catch(() => undefined);
    return done;
  }
}

export interface NodeStoreOptions {
  readonly server: StoreServer;
  readonly port: Port;
}

/** Everything goes through `port`; what changes rows is recorded. */
export function nodeStore({ server, port }: NodeStoreOptions): Store {
  const { store: real } = server;
  const nobody = () => undefined;
  const wrap = <R extends object>(group: string, records: R, recorders: Recorders = {}): R =>
    Object.fromEntries(
      Object.entries(records).map(([name, method]) => {
        const record = recorders[name] ?? nobody;
        return [
          name,
          (...parameters: unknown[]) =>
            port.call(`${group}.${name}`, () =>
              server.exclusive(
                () => (method as (...parameters: unknown[]) => Promise<unknown>).apply(records, parameters),
                (result, at) => record(parameters, result, at),
              ),
            ),
        ];
      }),
    ) as R;
  return {
    tasks: wrap("tasks", real.tasks, taskRecorders(server, port)),
    lanes: wrap("lanes", real.lanes, laneRecorders(server, port)),
    control: wrap("control", real.control, controlRecorders(server, port)),
    batches: wrap("batches", real.batches, batchRecorders(server, port)),
    functions: wrap("functions", real.functions),
    accounts: wrap("accounts", real.accounts),
    agents: wrap("agents", real.agents, agentRecorders(server, port)),
    logs: wrap("logs", real.logs),
    ping: () => port.call("ping", () => server.exclusive(() => real.ping(), nobody)),
    async [Symbol.asyncDispose]() {},
  };
}

type Recorder = (parameters: readonly unknown[], result: unknown, at: number) => void;
type Recorders = Readonly<Record<string, Recorder>>;
type ResultOf<K extends keyof LaneRecords> = Awaited<ReturnType<LaneRecords[K]>>;

function taskRecorders(server: StoreServer, { network }: Port): Recorders {
  const { trace, counters } = network;
  return {
    insert([tasks], result, at) {
      const outcomes = result as Awaited<ReturnType<Store["tasks"]["insert"]>>;
      for (const [index, task] of (tasks as NewTask[]).entries()) {
        const outcome = outcomes[index];
        if (outcome?.kind === "repeated") counters.add("duplicate answered by token");
        if (outcome?.kind !== "inserted") continue;
        const { seq, enqueuedAt } = outcome;
        const key = `${task.accountId}/${task.functionName}/${task.taskId}`;
        server.seqs.set(key, seq);
        server.events.push({
          kind: "inserted",
          at,
          seq,
          account: task.accountId,
          function: task.functionName,
          taskId: task.taskId,
          queue: task.queue,
          lane: task.lane,
          priority: task.priority,
          enqueuedAt,
          dueAt: task.delayMs > 0 ? enqueuedAt + task.delayMs : undefined,
          expiresAt: task.expiresAfterMs > 0 ? enqueuedAt + task.delayMs + task.expiresAfterMs : undefined,
          tags: task.tags,
        });
        trace.add(`INSERT task ${seq} ${key} ${task.queue}/${task.lane}`);
      }
    },
    requestStop(_parameters, result) {
      const task = result as Task | undefined;
      if (task) trace.add(`MARK task ${task.seq} ${task.status}`);
    },
  };
}

function laneRecorders(server: StoreServer, { network, node }: Port): Recorders {
  const { trace, counters } = network;
  const by = node.name;
  const stale = (name: string, [owner]: readonly unknown[]) => {
    counters.add("stale write refused");
    trace.add(`STALE ${by} ${name} ${describeOwner(owner as Parameters<LaneRecords["raiseFloor"]>[0])}`);
  };
  return {
    floors([queue], result, at) {
      const floors = result as ResultOf<"floors">;
      server.events.push({ kind: "floors read", at, by, queue: queue as string, floors });
    },
    raiseFloor([owner], result, at) {
      const partition = owner as Parameters<LaneRecords["raiseFloor"]>[0];
      trace.add(`FLOOR ${by} ${describeOwner(partition)} ${result}`);
      if (result === true) server.events.push({ kind: "raised", at, by, owner: partition });
    },
    write(parameters, result, at) {
      const [owner, writes] = parameters as Parameters<LaneRecords["write"]>;
      const applied = result as ResultOf<"write">;
      if (applied === "stale") {
        stale("write", parameters);
        return;
      }
      for (const [index, write] of writes.entries()) {
        const isApplied = applied[index] === true;
        server.events.push({ kind: "written", at, by, owner, write, applied: isApplied });
        if (write.kind === "park" && isApplied && write.error !== undefined) counters.add("retried");
        if (write.kind === "settle" && write.status === "Expired" && isApplied) counters.add("expired");
        if (write.kind === "settle" && write.status === "Stopped" && isApplied) {
          counters.add(write.startedAt === undefined ? "stopped while waiting" : "stopped while running");
        }
        if (write.kind !== "running" && !isApplied) counters.add("write missed its row");
        trace.add(`WRITE ${by} ${describeOwner(owner)} ${describeWrite(write)} ${isApplied ? "held" : "MISSED"}`);
      }
    },
    unpark(parameters, result, at) {
      const unparked = result as ResultOf<"unpark">;
      if (unparked === "stale") {
        stale("unpark", parameters);
        return;
      }
      if (unparked.length === 0) return;
      const [owner] = parameters as Parameters<LaneRecords["unpark"]>;
      const seqs = unparked.map(({ seq }) => seq);
      counters.add("unparked", seqs.length);
      server.events.push({ kind: "unparked", at, by, owner, seqs });
      trace.add(`UNPARK ${by} ${describeOwner(owner)} ${seqs.join(" ")}`);
    },
    parkOverflow(parameters, result, at) {
      const seqs = result as ResultOf<"parkOverflow">;
      if (seqs === "stale") {
        stale("parkOverflow", parameters);
        return;
      }
      if (seqs.length === 0) return;
      const [owner] = parameters as Parameters<LaneRecords["parkOverflow"]>;
      counters.add("overflowed", seqs.length);
      server.events.push({ kind: "overflown", at, by, owner, seqs });
      trace.add(`OVERFLOW ${by} ${describeOwner(owner)} ${seqs.join(" ")}`);
    },
    unparkOverflow(parameters, result, at) {
      const rows = result as ResultOf<"unparkOverflow">;
      if (rows === "stale") {
        stale("unparkOverflow", parameters);
        return;
      }
      if (rows.length === 0) return;
      const [owner] = parameters as Parameters<LaneRecords["unparkOverflow"]>;
      const seqs = rows.map(({ seq }) => seq);
      counters.add("overflow taken back", seqs.length);
      server.events.push({ kind: "unparked", at, by, owner, seqs });
      trace.add(`REFILL ${by} ${describeOwner(owner)} ${seqs.join(" ")}`);
    },
    expire(parameters, result, at) {
      const ended = result as ResultOf<"expire">;
      if (ended === "stale") {
        stale("expire", parameters);
        return;
      }
      const [owner] = parameters as Parameters<LaneRecords["expire"]>;
      const never = { startedAt: undefined, agentId: undefined, instanceId: undefined };
      for (const row of ended) {
        counters.add("expired");
        const write = { kind: "settle", status: "Expired", ...row, ...never, events: [] } as const;
        const ofBulk = { ...write, result: new Uint8Array(), error: expiredError };
        server.events.push({ kind: "written", at, by, owner, write: ofBulk, applied: true });
        trace.add(`EXPIRE ${by} ${describeOwner(owner)} task ${row.seq} attempt ${row.attempt}`);
      }
    },
    touch(parameters, result) {
      if (result === "stale") {
        stale("touch", parameters);
        return;
      }
      const [, seqs] = parameters as Parameters<LaneRecords["touch"]>;
      counters.add("re-announced", seqs.length);
      trace.add(`TOUCH ${by} ${seqs.join(" ")}`);
    },
    read(parameters, result) {
      if (result === "stale") stale("read", parameters);
    },
    marked(parameters, result) {
      if (result === "stale") stale("marked", parameters);
    },
    sweep(parameters, result) {
      if (result === "stale") stale("sweep", parameters);
    },
  };
}

function controlRecorders({ pauses }: StoreServer, { network }: Port): Recorders {
  const { trace, counters } = network;
  const held = (id: unknown) => pauses.find(({ pauseId, until }) => pauseId === id && until === undefined);
  return {
    pause(_parameters, result, at) {
      const { pauseId, number, target } = result as PauseRecord;
      if (!held(pauseId)) pauses.push({ pauseId, target, from: at, until: undefined });
      trace.add(`PAUSE ${number} ${pauseId}`);
    },
    resume([pauseId], result, at) {
      const pause = held(pauseId);
      if (pause && result === true) pause.until = at;
      trace.add(`RESUME ${pauseId} ${result}`);
    },
    start(_parameters, result) {
      const { operationId, kind, filter } = result as OperationRecord;
      trace.add(`OPERATION ${operationId} ${kind} ${filter.functionName ?? "*"} ${filter.status ?? "*"}`);
    },
    finish([operation], result) {
      const { operationId } = operation as OperationRecord;
      if (result === true) counters.add("operation finished");
      trace.add(`FINISH ${operationId} ${result}`);
    },
  };
}

function batchRecorders(server: StoreServer, { network, node }: Port): Recorders {
  const { trace, counters } = network;
  const by = node.name;
  const record =
    (kind: "stopped" | "deleted"): Recorder =>
    (parameters, result, at) => {
      const [owner, operation] = parameters as Parameters<BatchRecords["stop"]>;
      const seqs = result as Awaited<ReturnType<BatchRecords["stop"]>>;
      if (seqs === "stale") {
        counters.add("stale write refused");
        trace.add(`STALE ${by} ${kind} ${describeOwner(owner)}`);
        return;
      }
      if (seqs.length === 0) return;
      counters.add(`${kind} in bulk`, seqs.length);
      server.events.push({ kind: "batch", at, by, owner, operationId: operation.operationId, did: kind, seqs });
      for (const seq of seqs) trace.add(`BATCH ${by} ${describeOwner(owner)} ${kind} task ${seq}`);
    };
  return {
    stop: record("stopped"),
    delete: record("deleted"),
    mark([, operation], result) {
      const marked = result as Awaited<ReturnType<BatchRecords["mark"]>>;
      const { operationId } = operation as OperationRecord;
      for (const seq of marked === "stale" ? [] : marked) trace.add(`MARK task ${seq} by ${operationId}`);
    },
    collect(parameters, result, at) {
      const [owner, operation] = parameters as Parameters<BatchRecords["collect"]>;
      const found = result as Awaited<ReturnType<BatchRecords["collect"]>>;
      if (found === "stale" || operation.kind === "stop" || found.collected.length === 0) return;
      const seqs = found.collected;
      counters.add("deleted when it had ended", seqs.length);
      server.events.push({ kind: "batch", at, by, owner, operationId: operation.operationId, did: "deleted", seqs });
      for (const seq of seqs) trace.add(`BATCH ${by} ${describeOwner(owner)} deleted task ${seq}`);
    },
    resume(parameters, result, at) {
      const resumed = result as Awaited<ReturnType<BatchRecords["resume"]>>;
      if (resumed === "stale" || resumed.length === 0) return;
      const [owner] = parameters as Parameters<BatchRecords["resume"]>;
      const seqs = resumed.map(({ seq }) => seq);
      counters.add("resumed from its parking", seqs.length);
      server.events.push({ kind: "unparked", at, by, owner, seqs });
      trace.add(`UNPARK ${by} ${describeOwner(owner)} ${seqs.join(" ")}`);
    },
  };
}

function agentRecorders(server: StoreServer, { network, node }: Port): Recorders {
  const { trace, counters } = network;
  const died = ({ agentId, incarnation }: AgentIncarnation, at: number) =>
    server.events.push({ kind: "died", at, agentId, incarnation });
  return {
    register(_parameters, result, at) {
      const { agentId, incarnation } = result as AgentIncarnation;
      trace.add(`REGISTER ${node.name} ${agentId}/${incarnation}`);
      server.events.push({ kind: "registered", at, agentId, incarnation });
      died({ agentId, incarnation: incarnation - 1 }, at);
    },
    fence([agent], result) {
      if (result === true) counters.add("fenced by an owner");
      trace.add(`FENCE ${node.name} ${describeAgent(agent)} ${result}`);
    },
    markDead([agent], result, at) {
      if (result === true) died(agent as AgentIncarnation, at);
      trace.add(`DEAD? ${node.name} ${describeAgent(agent)} ${result}`);
    },
    deregister([agent], _result, at) {
      died(agent as AgentIncarnation, at);
      trace.add(`DEREGISTER ${node.name} ${describeAgent(agent)}`);
    },
  };
}

function describeAgent(agent: unknown): string {
  const { agentId, incarnation } = agent as AgentIncarnation;
  return `${agentId}/${incarnation}`;
}

export function describeOwner({ queue, prefix, epoch }: Parameters<LaneRecords["raiseFloor"]>[0]): string {
  return `${queue}/${prefix === "" ? "-" : prefix}@${epoch}`;
}

function describeWrite(write: Parameters<LaneRecords["write"]>[1][number]): string {
  const { kind, seq, attempt } = write;
  if (kind === "running") return `running task ${seq} attempt ${attempt} on ${write.agentId}`;
  if (kind === "settle") return `settle task ${seq} attempt ${attempt} ${write.status}`;
  return `park task ${seq} attempt ${attempt} -> ${write.nextAttempt} ${write.reason} ${write.error?.type ?? ""}`;
}
