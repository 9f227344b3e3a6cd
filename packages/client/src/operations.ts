// Pausing what waits, and stopping or deleting many tasks at once.
import {
  type ActivePause,
  OperationState,
  PauseHolder,
  OperationKind as WireKind,
  type Operation as WireOperation,
  type PauseTarget as WireTarget,
} from "@sluice/protocol";
import { type CallOptions, type Connection, repeat } from "./connection.ts";
import { InvalidArgument } from "./errors.ts";
import type { TaskSelection } from "./types.ts";
import { selectionFromWire, selectionToWire } from "./wire.ts";

/** What is paused; one of these. */
export type PauseTarget = (
  | { readonly function: string }
  /** All functions. */
  | { readonly account: true }
  /** For operators. */
  | { readonly queue: string }
  /** The tasks that pass the filter; of statuses only `Enqueued` and `Retrying`. */
  | { readonly tasks: TaskSelection }
) & {
  /** Whose; default: of the credential's account. Others are for operators. */
  readonly accountId?: string | undefined;
};

export interface Pause {
  readonly pauseId: string;
  readonly target: PauseTarget;
  readonly reason: string | undefined;
  /** The account that paused it. */
  readonly createdBy: string;
  /** Who ends it: the account that is meant, and operators; or operators only. */
  readonly heldBy: "account" | "operators" | "unknown";
  /** Milliseconds since the epoch. */
  readonly createdAtMs: number;
}

/** What became of a pause. */
export interface Resumed {
  /** False: it did not hold. */
  readonly resumed: boolean;
  /** The other pause of the same target, which holds still: that of the operators, or of the account. */
  readonly stillHeld: Pause | undefined;
}

/** An operation on many tasks. */
export interface Operation {
  readonly operationId: string;
  readonly kind: "stop" | "delete" | "unknown";
  readonly filter: TaskSelection;
  readonly accountId: string;
  readonly state: "running" | "done" | "cancelled" | "unknown";
  /** Tasks that it has found so far. */
  readonly matched: number;
  /** Those that it has stopped or deleted. */
  readonly done: number;
  /** Those that ended by themselves before they were stopped. */
  readonly failed: number;
  /** Parts of queues in which nothing is left to do, of `lanesTotal`. */
  readonly lanesDone: number;
  readonly lanesTotal: number;
  /** It is about tasks that were accepted before; in ms since the epoch, as `endedAtMs`. */
  readonly createdAtMs: number;
  readonly endedAtMs: number | undefined;
  /** The account that started it. */
  readonly createdBy: string;
}

export interface StartOptions extends CallOptions {
  /** Default: made by the client, so that the call can be repeated. */
  readonly operationId?: string;
  /** Whose tasks; default: of the credential's account. Others are for operators. */
  readonly accountId?: string;
}

export interface WatchOperationOptions extends CallOptions {
  /** Between two looks. Default: 500. */
  readonly everyMs?: number;
}

/** Pauses, and operations on many tasks. Every call may be repeated. */
export interface OperationsClient {
  /**
   * Five seconds after the answer at the latest nothing of it is started; what runs goes on, and submissions are accepted. It
   * holds until it is resumed. A target has one pause of the account and one of the operators, however often it is paused.
   */
  pause(target: PauseTarget, options?: CallOptions & { readonly reason?: string }): Promise<Pause>;
  /**
   * What waited goes on at once, unless another pause holds it. By target (that of the account; where an operator means another
   * account, that of the operators) or by id. Throws `Forbidden` (`PAUSED_BY_OPERATORS`) where only operators may.
   */
  resume(paused: PauseTarget | { readonly pauseId: string }, options?: CallOptions): Promise<Resumed>;
  /** Those of the account, oldest first; operators see all of them. */
  pauses(options?: CallOptions): Promise<Pause[]>;
  /** Stops what has not ended, in the background; all filters must hold. */
  stopTasks(filter: TaskSelection, options?: StartOptions): Promise<Operation>;
  /** Deletes tasks with their logs, in the background; those that run are stopped first. */
  deleteTasks(filter: TaskSelection, options?: StartOptions): Promise<Operation>;
  /** Throws `NotFound`. */
  get(operationId: string, options?: CallOptions): Promise<Operation>;
  /** Newest first. */
  list(options?: CallOptions): AsyncGenerator<Operation, void, undefined>;
  /** The operation now, and from time to time until it has ended. Throws `NotFound`. */
  watch(operationId: string, options?: WatchOperationOptions): AsyncGenerator<Operation, void, undefined>;
  /** Ends it early; what it has done stays done. Throws `NotFound`, and `Forbidden` where an operator started it. */
  cancel(operationId: string, options?: CallOptions): Promise<Operation>;
}

const pageSize = 100;

export function createOperationsClient(connection: Connection): OperationsClient {
  const { operations: api, system } = connection;

  async function start(kind: WireKind, filter: TaskSelection, options: StartOptions): Promise<Operation> {
    const { operationId = `op-${system.uniqueText().replace(/\W/g, "").slice(0, 24)}`, accountId = "" } = options;
    const request = { kind, filter: selectionToWire(filter), operationId, accountId };
    return fromWire(await repeat(connection, options, (context) => api.startOperation(request, context)));
  }

  async function get(operationId: string, options: CallOptions): Promise<Operation> {
    return fromWire(await repeat(connection, options, (context) => api.getOperation({ operationId }, context)));
  }

  return {
    async pause(target, options = {}) {
      const request = { target: targetToWire(target), reason: options.reason ?? "" };
      return pauseFromWire(await repeat(connection, options, (context) => api.pause(request, context)));
    },
    async resume(paused, options = {}) {
      const request =
        "pauseId" in paused
          ? { pauseId: paused.pauseId, target: undefined }
          : { pauseId: "", target: targetToWire(paused) };
      const { resumed, stillHeld } = await repeat(connection, options, (context) => api.resume(request, context));
      return { resumed, stillHeld: stillHeld && pauseFromWire(stillHeld) };
    },
    async pauses(options = {}) {
      const { pauses } = await repeat(connection, options, (context) => api.listPauses({}, context));
      return pauses.map(pauseFromWire);
    },
    stopTasks: (filter, options = {}) => start(WireKind.STOP, filter, options),
    deleteTasks: (filter, options = {}) => start(WireKind.DELETE, filter, options),
    get: (operationId, options = {}) => get(operationId, options),
    async *list(options = {}) {
      let pageToken = "";
      do {
        const request = { pageSize, pageToken };
        const page = await repeat(connection, options, (context) => api.listOperations(request, context));
        yield* page.operations.map(fromWire);
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
    },
    async *watch(operationId, { everyMs = 500, ...options } = {}) {
      for (;;) {
        const operation = await get(operationId, options);
        yield operation;
        if (operation.endedAtMs !== undefined) return;
        await system.sleep(everyMs, options.signal);
      }
    },
    cancel: async (operationId, options = {}) =>
      fromWire(await repeat(connection, options, (context) => api.cancelOperation({ operationId }, context))),
  };
}

/** Throws `MISSING_TARGET`: callers without a type checker must not pause something else. */
function targetToWire(target: PauseTarget): WireTarget {
  const accountId = target.accountId ?? "";
  if ("function" in target) return { target: { $case: "function", value: target.function }, accountId };
  if ("queue" in target) return { target: { $case: "queue", value: target.queue }, accountId };
  if ("tasks" in target) return { target: { $case: "tasks", value: selectionToWire(target.tasks) }, accountId };
  if (target.account === true) return { target: { $case: "account", value: {} }, accountId };
  throw new InvalidArgument("invalid", "MISSING_TARGET", "name a function, the account, a queue, or a filter");
}

function pauseFromWire({ target, reason, heldBy, ...pause }: ActivePause): Pause {
  const holder = holders.get(heldBy) ?? "unknown";
  return { ...pause, target: targetFromWire(target), reason: reason || undefined, heldBy: holder };
}

const holders = new Map<number, Pause["heldBy"]>([
  [PauseHolder.ACCOUNT, "account"],
  [PauseHolder.OPERATORS, "operators"],
]);

function targetFromWire(wire: WireTarget | undefined): PauseTarget {
  const accountId = wire?.accountId || undefined;
  switch (wire?.target?.$case) {
    case "function":
      return { function: wire.target.value, accountId };
    case "queue":
      return { queue: wire.target.value, accountId };
    case "tasks":
      return { tasks: selectionFromWire(wire.target.value), accountId };
    case "account":
    case undefined:
      return { account: true, accountId };
  }
}

const kinds = new Map<number, Operation["kind"]>([
  [WireKind.STOP, "stop"],
  [WireKind.DELETE, "delete"],
]);
const states = new Map<number, Operation["state"]>([
  [OperationState.RUNNING, "running"],
  [OperationState.DONE, "done"],
  [OperationState.CANCELLED, "cancelled"],
]);

function fromWire({ filter, kind, state, endedAtMs, ...operation }: WireOperation): Operation {
  return {
    ...operation,
    kind: kinds.get(kind) ?? "unknown",
    state: states.get(state) ?? "unknown",
    filter: filter ? selectionFromWire(filter) : {},
    endedAtMs: endedAtMs || undefined,
  };
}
