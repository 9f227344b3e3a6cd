// Pauses, and operations on many tasks. Everything here only writes what owners heed: they do the work.
import { isDeepStrictEqual } from "node:util";
import { AccountId, AppError, invalid, type Random } from "@sluice/core";
import type { Api, CallContext, OperationServiceService, PauseTarget as WireTarget } from "@sluice/protocol";
import { controlTopic, type Signals } from "@sluice/queue";
import type { Logger } from "@sluice/runtime";
import { type OperationProgress, type PauseTarget, pausesMax, type Store, type TaskSelection } from "@sluice/store";
import type { Authenticate } from "../accounts/authenticate.ts";
import { createAuthorizeOperator } from "../cluster/operators.ts";
import type { ApiServerConfig } from "../config.ts";
import { pageToken, parsePageToken } from "../wire/page-token.ts";
import { parseSelection } from "../wire/selection.ts";
import { checkInteger, checkText } from "../wire/text.ts";
import { accountOf, parseKind, parseTarget, pauseIdOf, toWireOperation, toWirePause } from "./targets.ts";

export interface OperationApiOptions {
  readonly config: Pick<ApiServerConfig, "auth" | "operatorAccounts">;
  readonly authenticate: Authenticate;
  readonly store: Store;
  readonly signals: Signals;
  readonly random: Random;
  readonly log: Logger;
}

/** Every row that is read is compared with each of an account's. */
const pausesOfAccountMax = 100;
/** At work at the same time, of an account. */
const operationsMax = 10;
const reasonLengthMax = 256;
const pageSize = { default: 20, max: 100 };

export function createOperationApi(options: OperationApiOptions): Api<typeof OperationServiceService> {
  const { config, authenticate, store, signals, random, log } = options;
  const authorizeOperator = createAuthorizeOperator(config, authenticate);

  async function isOperator(context: CallContext): Promise<boolean> {
    try {
      await authorizeOperator(context);
      return true;
    } catch (cause) {
      if (cause instanceof AppError && cause.code === "forbidden") return false;
      throw cause;
    }
  }

  /** The account that is meant; another one than the caller's only if that is an operator's. */
  async function accountFor(named: string, context: CallContext, field: string) {
    const caller = await authenticate(context);
    const accountId = named === "" ? caller : AccountId(named, field);
    if (accountId !== caller) await authorizeOperator(context);
    return { caller, accountId };
  }

  async function targetOf(wire: WireTarget | undefined, context: CallContext) {
    const { caller, accountId } = await accountFor(wire?.accountId ?? "", context, "target.account_id");
    const target = parseTarget(wire ?? { target: undefined, accountId: "" }, accountId);
    if (target.kind === "queue") await authorizeOperator(context);
    return { caller, target };
  }

  /** A pause of what is misspelt would look like one that holds. Throws `FUNCTION_NOT_FOUND` and `QUEUE_NOT_FOUND`. */
  async function assertThere(target: PauseTarget): Promise<void> {
    if (target.kind === "function") {
      const [found] = await store.functions.read([target]);
      if (found === undefined) throw notFound("FUNCTION_NOT_FOUND", `there is no function ${target.functionName}`);
    }
    if (target.kind === "queue") {
      const queues = [...(await store.lanes.allFloors()).keys()];
      if (queues.includes(target.queue)) return;
      throw notFound("QUEUE_NOT_FOUND", `there is no queue ${target.queue}; there are: ${queues.join(", ")}`);
    }
  }

  async function assertRoomFor(pauseId: string, target: PauseTarget): Promise<void> {
    const known = await store.control.pauses(accountOf(target));
    if (known.length < pausesOfAccountMax || known.some((pause) => pause.pauseId === pauseId)) return;
    throw new AppError(
      "exhausted",
      "TOO_MANY_PAUSES",
      `there are ${known.length} pauses already; resume some, or pause with a wider filter`,
    );
  }

  /** Of an account that the caller may look after. Throws `OPERATION_NOT_FOUND`. */
  async function find(operationId: string, context: CallContext): Promise<OperationProgress> {
    const caller = await authenticate(context);
    const found = await store.control.operation(operationId);
    if (found && (found.filter.accountId === caller || (await isOperator(context)))) return found;
    throw new AppError("not_found", "OPERATION_NOT_FOUND", `there is no operation ${operationId}, or it is forgotten`, {
      field: "operation_id",
    });
  }

  return {
    async pause(request, context) {
      const { caller, target } = await targetOf(request.target, context);
      const reason = checkText(request.reason, "reason", reasonLengthMax);
      const pauseId = pauseIdOf(target);
      await assertThere(target);
      await assertRoomFor(pauseId, target);
      const pause = await store.control.pause({ pauseId, target, reason, createdBy: caller });
      if (pause === undefined) {
        const message = `the cluster has ${pausesMax} pauses, all that owners heed; resume some`;
        throw new AppError("exhausted", "TOO_MANY_PAUSES", message);
      }
      signals.send(controlTopic, "");
      log.info("paused", { accountId: caller, pauseId, target });
      return toWirePause(pause);
    },

    async resume(request, context) {
      const caller = await authenticate(context);
      let { pauseId } = request;
      if (pauseId === "") pauseId = pauseIdOf((await targetOf(request.target, context)).target);
      else {
        // One of another account, or of a queue, is not known to those who are no operators.
        const known = await store.control.pauses((await isOperator(context)) ? undefined : caller);
        if (!known.some((pause) => pause.pauseId === pauseId)) return { resumed: false };
      }
      const resumed = await store.control.resume(pauseId);
      signals.send(controlTopic, "");
      if (resumed) log.info("resumed", { accountId: caller, pauseId });
      return { resumed };
    },

    async listPauses(_request, context) {
      const caller = await authenticate(context);
      const pauses = await store.control.pauses((await isOperator(context)) ? undefined : caller);
      return { pauses: pauses.map(toWirePause) };
    },

    async startOperation(request, context) {
      const { caller, accountId } = await accountFor(request.accountId, context, "account_id");
      if (request.filter === undefined) {
        throw invalid("MISSING_FILTER", "filter", "say which tasks; an empty filter means all of the account");
      }
      const filter = parseSelection(accountId, request.filter, "filter.");
      const kind = parseKind(request.kind, filter);
      const operationId = request.operationId === "" ? `op-${random.hex(12)}` : checkId(request.operationId);
      const before = await store.control.operation(operationId);
      if (before === undefined) await assertFewAtWork(accountId);
      const started = await store.control.start({ operationId, kind, filter, createdBy: caller });
      if (started.kind !== kind || !isSame(started.filter, filter)) {
        const message = `the id ${operationId} is taken by another operation; choose another one`;
        throw new AppError("exists", "OPERATION_EXISTS", message, { field: "operation_id" });
      }
      signals.send(controlTopic, "");
      log.info("started an operation", { accountId: caller, operationId, kind, filter });
      return toWireOperation(started);
    },

    async getOperation({ operationId }, context) {
      return toWireOperation(await find(operationId, context));
    },

    async listOperations(request, context) {
      const caller = await authenticate(context);
      const accountId = (await isOperator(context)) ? undefined : caller;
      const size = checkInteger(request.pageSize, {
        field: "page_size",
        reason: "INVALID_PAGE_SIZE",
        min: 0,
        max: pageSize.max,
      });
      const limit = size === 0 ? pageSize.default : size;
      const fingerprint = ["operations", accountId ?? ""];
      const [before = Number.MAX_SAFE_INTEGER] = parsePageToken(request.pageToken, fingerprint, ["number"]) ?? [];
      const found = await store.control.operations(accountId, { before, limit: limit + 1 });
      const page = found.slice(0, limit);
      const last = page.at(-1);
      return {
        operations: page.map(toWireOperation),
        nextPageToken: last === undefined || found.length === page.length ? "" : pageToken([last.number], fingerprint),
      };
    },

    async cancelOperation({ operationId }, context) {
      const found = await find(operationId, context);
      const cancelled = (await store.control.cancel(operationId)) ?? found;
      signals.send(controlTopic, "");
      log.info("cancelled an operation", { operationId });
      return toWireOperation(cancelled);
    },
  };

  async function assertFewAtWork(accountId: AccountId): Promise<void> {
    const latest = await store.control.operations(accountId, { before: Number.MAX_SAFE_INTEGER, limit: pageSize.max });
    const atWork = latest.filter(
      ({ finishedAt, cancelledAt }) => finishedAt === undefined && cancelledAt === undefined,
    );
    if (atWork.length < operationsMax) return;
    throw new AppError(
      "exhausted",
      "TOO_MANY_OPERATIONS",
      `${atWork.length} operations are at work already; wait for one of them, or cancel it`,
      { retryAfterMs: 5_000 },
    );
  }
}

function checkId(operationId: string): string {
  if (/^[A-Za-z_][A-Za-z0-9_-]{0,63}$/.test(operationId)) return operationId;
  throw invalid(
    "INVALID_OPERATION_ID",
    "operation_id",
    "a letter or `_`, then letters, digits, `_` or `-`, at most 64 characters",
  );
}

function notFound(reason: string, message: string): AppError {
  return new AppError("not_found", reason, message, { field: "target" });
}

/** Filters as they are stored, without what is undefined. */
function isSame(one: TaskSelection, other: TaskSelection): boolean {
  const stored = (selection: TaskSelection) => JSON.parse(JSON.stringify(selection)) as unknown;
  return isDeepStrictEqual(stored(one), stored(other));
}
