// Random calls that mostly make sense: of owners that own or did, about rows that exist or did, with attempts that are or were
// the current ones.
import {
  AccountId,
  type FinalStatus,
  type Flow,
  FunctionName,
  finalStatuses,
  type OwnedPartition,
  parkReasons,
  priorities,
  type Seq,
  TaskId,
  taskStatuses,
} from "@sluice/core";
import {
  type CodePackage,
  defaultFlowSettings,
  type FunctionSettings,
  type NewTask,
  type OperationRecord,
  type PauseTarget,
  pausedUntil,
  type TaskFilter,
  type TaskSelection,
  type TaskWrite,
} from "@sluice/store";
import type { Dice } from "../dice.ts";
import type { Call } from "./calls.ts";
import type { Tables } from "./tables.ts";

const accounts = ["red", "green"].map((id) => AccountId(id));
const names = ["alpha", "beta", "beta-2"].map((name) => FunctionName(name));
const queues = ["q0", "q1"] as const;
const prefixes = ["", "0", "1", "01", "10", "111", "00000"] as const;
const tags = ["blue", "käse", 'a "quoted" \\ one', "{comma,}", "null"] as const;
const agentIds = ["a1", "a2", "a10"] as const;
const oneDay = 86_400_000;

export class RandomCalls {
  readonly #dice: Dice;
  readonly #tables: Tables;
  readonly #now: () => number;
  readonly #owners: OwnedPartition[] = queues.map((queue) => ({ queue, prefix: "", epoch: 1 }));
  #seqs = 0;
  #epoch = 1;

  /** `tables`: what the calls so far have led to. */
  constructor(dice: Dice, tables: Tables, now: () => number) {
    this.#dice = dice;
    this.#tables = tables;
    this.#now = now;
  }

  next(): Call {
    const dice = this.#dice;
    this.#seqs = Math.max(1, ...[...this.#tables.rows.all()].slice(-1).map(({ seq }) => seq));
    if (dice.chance(0.15)) return dice.chance(0.4) ? this.#ofControl() : this.#ofBatches();
    const kind = dice.between(1, 100);
    if (kind <= 15) return ["tasks", "insert", this.#some(6, () => this.#task())];
    if (kind <= 25) return this.#ofTasks();
    if (kind <= 45) return ["lanes", "write", this.#owner(), this.#some(5, () => this.#write())];
    if (kind <= 78) return this.#ofLanes();
    if (kind <= 87) return this.#ofFunctions();
    if (kind <= 95) return this.#ofAgents();
    return dice.chance(0.5) ? this.#ofAccounts() : this.#ofLogs();
  }

  #ofTasks(): Call {
    const dice = this.#dice;
    const key = this.#key();
    const account = dice.pick(accounts);
    return dice.pick<() => Call>([
      () => ["tasks", "get", key],
      () => ["tasks", "requestStop", key],
      () => ["tasks", "countWaiting", account, dice.pick([0, 2, 1_000])],
      () => ["tasks", "list", this.#filter()],
    ])();
  }

  #ofLanes(): Call {
    const dice = this.#dice;
    const owner = this.#owner();
    const limit = dice.pick([0, 1, 3, 1_000]);
    const priority = dice.pick(priorities);
    const seqs = () => this.#some(6, () => this.#seq());
    const after = () => ({ announcedAt: this.#now() - dice.between(0, 5_000), seq: this.#seq() });
    return dice.pick<() => Call>([
      () => ["lanes", "floors", owner.queue],
      () => ["lanes", "allFloors"],
      () => ["lanes", "raiseFloor", this.#claim()],
      () => ["lanes", "read", owner, seqs()],
      () => ["lanes", "read", owner, seqs()],
      () => ["lanes", "unpark", owner, limit, dice.chance(0.5) ? seqs() : []],
      () => ["lanes", "unpark", owner, 1_000, []],
      () => ["lanes", "dueIn", owner, dice.pick([0, 500, 10_000])],
      () => [
        "lanes",
        "sweep",
        owner,
        { priority, announcedBefore: this.#now() - dice.between(-1, 3_000), after: after(), limit },
      ],
      () => [
        "lanes",
        "sweep",
        owner,
        { priority, announcedBefore: Number.POSITIVE_INFINITY, after: { announcedAt: 0, seq: 0 }, limit },
      ],
      () => ["lanes", "touch", owner, seqs()],
      () => [
        "lanes",
        "parkOverflow",
        owner,
        seqs(),
        { dueInMs: dice.between(0, 5_000), announcedUntil: this.#now() - dice.between(-1, 3_000) },
      ],
      () => ["lanes", "parkOverflow", owner, seqs(), { dueInMs: 1_000, announcedUntil: this.#now() }],
      () => [
        "lanes",
        "unparkOverflow",
        owner,
        dice.chance(0.5) ? this.#overflown(owner) : { accountId: dice.pick(accounts), functionName: dice.pick(names) },
        limit,
      ],
      () => ["lanes", "overflowFlows", owner, limit],
      () => [
        "lanes",
        "movable",
        owner,
        {
          flow: dice.chance(0.5)
            ? this.#overflown(owner)
            : { accountId: dice.pick(accounts), functionName: dice.pick(names) },
          status: dice.pick(["Enqueued", "Retrying"]),
          after: dice.chance(0.7) ? { enqueuedAt: 0, seq: 0 } : { enqueuedAt: after().announcedAt, seq: after().seq },
          limit,
        },
      ],
      () => ["lanes", "queuesInUse"],
      () => [
        "lanes",
        "expired",
        owner,
        { priority, after: dice.chance(0.5) ? { announcedAt: 0, seq: 0 } : after(), limit: 1_000 },
      ],
      () => ["lanes", "expire", owner, seqs(), { stampMin: dice.pick([0, owner.epoch]) }],
      () => ["lanes", "expire", owner, seqs(), { stampMin: 0 }],
      () => ["lanes", "marked", owner, 1_000],
      () => [
        "lanes",
        "waiting",
        owner.queue,
        { after: dice.chance(0.5) ? undefined : { ...after(), priority }, limit },
      ],
      () => ["lanes", "purge", owner, { endedBefore: this.#now() - dice.between(0, 20_000), limit: 1_000 }],
    ])();
  }

  /** A flow of which rows are parked by overflow, if there is one. */
  #overflown({ queue }: OwnedPartition): Flow {
    const rows = [...this.#tables.rows.open(queue)].filter(({ parkReason }) => parkReason === "overflow");
    const { accountId, functionName } = rows.at(-1) ?? this.#key();
    return { accountId, functionName };
  }

  #ofControl(): Call {
    const dice = this.#dice;
    const accountId = dice.pick(accounts);
    const pauseId = `p${dice.between(1, 4)}`;
    const operationId = `o${dice.between(1, 8)}`;
    const target = dice.pick<PauseTarget>([
      { kind: "function", accountId, functionName: dice.pick(names) },
      { kind: "account", accountId },
      { kind: "queue", queue: dice.pick(queues) },
      { kind: "tasks", filter: this.#selection() },
    ]);
    const started = { operationId, kind: dice.pick(["stop", "delete"] as const), createdBy: accountId };
    return dice.pick<() => Call>([
      () => ["control", "pause", { pauseId, target, reason: dice.pick(["", "why"]), createdBy: accountId }],
      () => ["control", "resume", pauseId],
      () => ["control", "pauses", dice.pick([undefined, accountId])],
      () => ["control", "start", { ...started, filter: this.#selection() }],
      () => ["control", "operation", operationId],
      () => ["control", "operations", dice.pick([undefined, accountId]), { before: dice.between(1, 40), limit: 3 }],
      () => ["control", "cancel", operationId],
      () => ["control", "heed"],
      () => ["control", "finish", this.#operation()],
    ])();
  }

  #ofBatches(): Call {
    const dice = this.#dice;
    const owner = this.#owner();
    const operation = this.#operation();
    const seqs = this.#some(6, () => this.#seq());
    const numbers = this.#some(3, () => dice.between(1, 9));
    const status = operation.filter.status ?? dice.pick([undefined, ...taskStatuses]);
    const last = this.#tables.rows.bySeq(this.#seq());
    const after = last && dice.chance(0.3) ? { enqueuedAt: last.enqueuedAt, seq: last.seq } : undefined;
    return dice.pick<() => Call>([
      () => ["batches", "matching", owner, operation, { status, after, limit: dice.pick([1, 3, 1_000]) }],
      () => ["batches", "stop", owner, operation, seqs],
      () => ["batches", "delete", owner, operation, seqs],
      () => ["batches", "mark", owner, operation, seqs, numbers],
      () => ["batches", "mark", owner, operation, seqs, []],
      () => ["batches", "collect", owner, operation, 1_000],
      () => ["batches", "closeLanes", owner, operation],
      () => ["batches", "resume", owner, [...new Set(numbers)], 1_000],
    ])();
  }

  /** One that was started; or one of which nobody knows. */
  #operation(): OperationRecord {
    const known = [...this.#tables.operations.values()];
    if (known.length > 0) return this.#dice.pick(known);
    const ends = { cancelledAt: undefined, finishedAt: undefined };
    const started = {
      operationId: "none",
      kind: "stop",
      createdBy: accounts[0] as AccountId,
      createdAt: this.#now(),
    } as const;
    return { ...started, ...ends, number: 99, filter: { accountId: accounts[0] as AccountId } };
  }

  #selection(): TaskSelection {
    const { accountId, functionName, status, enqueuedFrom, enqueuedUntil, taskIdPrefix, priority, tag } =
      this.#filter();
    return {
      accountId,
      ...(functionName !== undefined && { functionName }),
      ...(status !== undefined && { status }),
      ...(enqueuedFrom !== undefined && { enqueuedFrom }),
      ...(enqueuedUntil !== undefined && { enqueuedUntil }),
      ...(taskIdPrefix !== undefined && { taskIdPrefix }),
      ...(priority !== undefined && { priority }),
      ...(tag !== undefined && { tag }),
    };
  }

  #ofFunctions(): Call {
    const dice = this.#dice;
    const flow = { accountId: dice.pick(accounts), functionName: dice.pick(names) };
    const code = dice.chance(0.5) ? this.#code() : undefined;
    const settings = dice.pick([{}, { timeoutMs: dice.between(1, 9) }, { initializer: undefined }, this.#limits()]);
    return dice.pick<() => Call>([
      () => ["functions", "create", flow, this.#settings(), this.#code()],
      () => ["functions", "update", flow, settings, code],
      () => ["functions", "read", [flow, { ...flow, functionName: dice.pick(names) }]],
      () => [
        "functions",
        "list",
        flow.accountId,
        { prefix: dice.pick(["", "b", "beta"]), after: dice.pick(["", "alpha"]), limit: 2 },
      ],
      () => ["functions", "delete", flow],
      () => ["functions", "reserved", dice.pick([0, 1, 9])],
      () => ["functions", "code", this.#code().sha256],
    ])();
  }

  #ofAgents(): Call {
    const dice = this.#dice;
    const agent = () => {
      const agentId = dice.pick(agentIds);
      const latest = this.#tables.agents.get(agentId)?.at(-1)?.incarnation ?? 1;
      return { agentId, incarnation: Math.max(1, latest - dice.pick([0, 0, 0, 1, 9])) };
    };
    const registration = {
      address: "10.0.0.1:1",
      slots: dice.between(1, 9),
      version: "1",
      registrationId: `r${dice.between(1, 12)}`,
    };
    return dice.pick<() => Call>([
      () => ["agents", "register", { agentId: dice.pick(agentIds), ...registration }],
      () => ["agents", "renew", this.#some(3, agent)],
      () => ["agents", "list"],
      () => ["agents", "fence", agent()],
      () => ["agents", "markDead", agent(), dice.pick([0, 2_000, 1e9])],
      () => ["agents", "deregister", agent()],
    ])();
  }

  #ofAccounts(): Call {
    const dice = this.#dice;
    const keyId = `key-${dice.between(1, 5)}`;
    const accountId = dice.pick(accounts);
    return dice.pick<() => Call>([
      () => ["accounts", "createKey", { keyId, accountId, encryptedSecret: this.#bytes(), enabled: dice.chance(0.5) }],
      () => ["accounts", "key", dice.chance(0.1) ? "a\0" : keyId],
      () => ["accounts", "keys", accountId],
      () => ["accounts", "read", [accountId, dice.pick(accounts)]],
      () => ["accounts", "list", { after: dice.pick(["", "green"]), limit: dice.pick([0, 1, 9]) }],
      () => ["accounts", "update", accountId, this.#limits()],
    ])();
  }

  #ofLogs(): Call {
    const dice = this.#dice;
    const seq = this.#seq();
    const attempt = dice.between(1, 2);
    const first = dice.between(0, 20);
    if (dice.chance(0.5)) return ["logs", "read", { seq, attempt, after: dice.between(-1, 10), limit: 5 }];
    const piece = (nth: number) => ({
      seq,
      attempt,
      index: first + nth,
      stream: "stdout" as const,
      at: this.#now(),
      data: this.#bytes(),
    });
    return ["logs", "append", [0, 1].map(piece)];
  }

  /** One that owns or did. */
  #owner(): OwnedPartition {
    return this.#dice.pick(this.#dice.chance(0.9) ? this.#owners.slice(-4) : this.#owners);
  }

  /** Mostly with the highest epoch ever. */
  #claim(): OwnedPartition {
    const dice = this.#dice;
    const epoch = dice.chance(0.8) ? ++this.#epoch : dice.between(1, this.#epoch);
    const owner = { queue: dice.pick(queues), prefix: dice.pick(prefixes), epoch };
    if (epoch === this.#epoch) this.#owners.push(owner);
    return owner;
  }

  #task(): NewTask {
    const dice = this.#dice;
    const known = dice.chance(0.25) ? this.#tables.rows.bySeq(this.#seq()) : undefined;
    const token = dice.pick(["", "", `token ${dice.between(1, 3)}`, dice.chance(0.02) ? "a\0b" : "😀\ud800"]);
    return {
      accountId: known?.accountId ?? dice.pick(accounts),
      functionName: known?.functionName ?? dice.pick(names),
      taskId: known?.taskId ?? TaskId(`t${this.#seqs}-${dice.between(1, 1_000)}`),
      queue: dice.pick(queues),
      lane: dice.between(0, 31),
      priority: dice.pick(priorities),
      payload: this.#bytes(),
      delayMs: dice.chance(0.3) ? dice.between(1, 20_000) : 0,
      expiresAfterMs: dice.chance(0.3) ? dice.between(1, 20_000) : 0,
      tags: this.#some(2, () => dice.pick(tags)),
      submissionToken: known && dice.chance(0.7) ? known.submissionToken : token,
    };
  }

  #write(): TaskWrite {
    const dice = this.#dice;
    const seq = this.#seq();
    const row = this.#tables.rows.bySeq(seq);
    const attempt = Math.max(1, (row?.attempt ?? 1) + dice.pick([0, 0, 0, 0, 0, 1, -1]));
    const guard = { seq, attempt, lane: dice.chance(0.95) ? (row?.lane ?? 0) : dice.between(0, 31) };
    const text = () => dice.pick(["", "fine", "a\0b\ud800", '"\\u0000"']);
    const error = dice.chance(0.4) ? { type: "Boom", message: text(), body: text() } : undefined;
    const event = () => ({
      status: dice.pick(taskStatuses),
      at: this.#now(),
      attempt,
      detail: { why: text(), left: undefined, of: [1, text()] },
    });
    const events = this.#some(2, event);
    const at = this.#now() - dice.between(0, 100);
    return dice.pick<() => TaskWrite>([
      () => ({
        ...guard,
        kind: "settle",
        status: dice.pick<FinalStatus>(finalStatuses),
        result: this.#bytes(),
        error,
        startedAt: dice.pick([undefined, at]),
        agentId: dice.pick([undefined, text()]),
        instanceId: dice.pick([undefined, "i1"]),
        events,
      }),
      () => ({
        ...guard,
        kind: "park",
        status: dice.pick(["Enqueued", "Retrying"]),
        dueAt: dice.chance(0.2) ? pausedUntil(dice.between(1, 9)) : this.#now() + dice.between(-2_000, 20_000),
        reason: dice.pick(parkReasons),
        nextAttempt: attempt + dice.between(0, 1),
        retries: dice.between(0, 3),
        lostAttempts: dice.between(0, 3),
        error,
        events,
        ...(dice.chance(0.3) && { moveTo: { queue: dice.pick(queues), lane: dice.between(0, 31) } }),
      }),
      () => ({
        ...guard,
        kind: "running",
        startedAt: at,
        agentId: text(),
        instanceId: "i2",
        progress: dice.pick([undefined, text()]),
      }),
    ])();
  }

  #filter(): TaskFilter {
    const dice = this.#dice;
    const key = this.#key();
    const last = this.#tables.rows.bySeq(this.#seq());
    return {
      accountId: key.accountId,
      order: dice.pick(["newest", "oldest"]),
      limit: dice.pick([0, 3, 1_000]),
      includePayload: dice.chance(0.5),
      ...(dice.chance(0.4) && { functionName: key.functionName }),
      ...(dice.chance(0.4) && { status: dice.pick(taskStatuses) }),
      ...(dice.chance(0.2) && { enqueuedFrom: this.#now() - dice.between(0, 10_000) }),
      ...(dice.chance(0.2) && { enqueuedUntil: this.#now() - dice.between(0, 10_000) }),
      ...(dice.chance(0.2) && { taskIdPrefix: key.taskId.slice(0, 2) }),
      ...(dice.chance(0.1) && { priority: dice.pick(priorities) }),
      ...(dice.chance(0.1) && { tag: dice.pick(tags) }),
      ...(last && dice.chance(0.2) && { after: { enqueuedAt: last.enqueuedAt, seq: last.seq } }),
    };
  }

  #limits() {
    const dice = this.#dice;
    return dice.pick([{ concurrencyMax: dice.between(0, 1) }, { rateMax: dice.pick([0, 0.5]) }, { weight: 2 }]);
  }

  #settings(): FunctionSettings {
    const dice = this.#dice;
    return {
      runtime: "nodejs18",
      handler: "index.handler",
      description: dice.pick(["", "says 😀", "half \ud800", dice.chance(0.1) ? "nul \0" : ""]),
      timeoutMs: dice.between(1, oneDay),
      memoryMb: 128,
      instanceConcurrency: 1,
      instancesMax: 4,
      environment: dice.pick([{}, { B: "2", A: "1" }]),
      initializer: dice.pick([undefined, { handler: "index.initialize", timeoutMs: 1 }]),
      preStop: undefined,
      idleTimeoutMs: 1,
      maxAsyncRetryAttempts: 3,
      maxAsyncEventAgeInSeconds: 9,
      ...defaultFlowSettings,
      concurrencyReserved: dice.pick([0, 0, 2]),
      rateMax: dice.pick([0, 0, 1.5]),
    };
  }

  #code(): CodePackage {
    const zip = new Uint8Array([this.#dice.between(1, 4)]);
    return { sha256: `sha-${zip[0]}`, zip };
  }

  /** Of a task that is there, or was, or never will be. */
  #key() {
    const { accountId, functionName, taskId } = this.#tables.rows.bySeq(this.#seq()) ?? {};
    const dice = this.#dice;
    return {
      accountId: accountId ?? dice.pick(accounts),
      functionName: functionName ?? dice.pick(names),
      taskId: taskId ?? TaskId("nobody"),
    };
  }

  /** Recent ones more often. */
  #seq(): Seq {
    const last = this.#seqs;
    return this.#dice.between(Math.max(1, last - this.#dice.pick([5, 40, last])), last + 1);
  }

  #bytes(): Uint8Array {
    return Uint8Array.from({ length: this.#dice.between(0, 8) }, () => this.#dice.between(0, 255));
  }

  #some<T>(max: number, one: () => T): T[] {
    return Array.from({ length: this.#dice.between(0, max) }, one);
  }
}
