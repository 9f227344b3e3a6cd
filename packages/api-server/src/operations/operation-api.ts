// Operations on many tasks, and pauses (`pauses.ts`). Everything here only writes what owners heed: they do the work.
import { isDeepStrictEqual } from "node:util";
import { type AccountId, AppError, invalid, type Random } from "@sluice/core";
import type { Api, CallContext, OperationServiceService } from "@sluice/protocol";
import { controlTopic, type Signals } from "@sluice/queue";
import type { Logger } from "@sluice/runtime";
import type { OperationProgress, Store, TaskSelection } from "@sluice/store";
import type { Authenticate } from "../accounts/authenticate.ts";
import type { ApiServerConfig } from "../config.ts";
import { pageToken, parsePageToken } from "../wire/page-token.ts";
import { parseSelection } from "../wire/selection.ts";
import { checkInteger } from "../wire/text.ts";
import { createAccess, type Holder, holderOf } from "./access.ts";
import { createPauseCalls } from "./pauses.ts";
import { parseKind, toWireOperation } from "./targets.ts";

export interface OperationApiOptions {
  readonly config: Pick<ApiServerConfig, "auth" | "operatorAccounts">;
  readonly authenticate: Authenticate;
  readonly store: Store;
  readonly signals: Signals;
  readonly random: Random;
  readonly log: Logger;
}

/** At work at the same time, of an account; and as many of the operators for it. */
const operationsMax = 10;
const pageSize = { default: 20, max: 100 };

export function createOperationApi(options: OperationApiOptions): Api<typeof OperationServiceService> {
  const { config, store, signals, random, log } = options;
  const access = createAccess(config, options.authenticate);
  const { authenticate, isOperator } = access;

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
    ...createPauseCalls({ access, store, signals, log }),

    async startOperation(request, context) {
      const { caller, accountId } = await access.accountFor(request.accountId, context, "account_id");
      if (request.filter === undefined) {
        throw invalid("MISSING_FILTER", "filter", "say which tasks; an empty filter means all of the account");
      }
      const filter = parseSelection(accountId, request.filter, "filter.");
      const kind = parseKind(request.kind, filter);
      const operationId = request.operationId === "" ? `op-${random.hex(12)}` : checkId(request.operationId);
      const before = await store.control.operation(operationId);
      if (before === undefined) await assertFewAtWork(accountId, holderOf(accountId, caller));
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
      if (holderOf(found.filter.accountId, found.createdBy) === "operators" && !(await isOperator(context))) {
        const message = `operators have started ${operationId}, and only they cancel it; ask them`;
        throw new AppError("forbidden", "STARTED_BY_OPERATORS", message, { field: "operation_id" });
      }
      const cancelled = (await store.control.cancel(operationId)) ?? found;
      signals.send(controlTopic, "");
      log.info("cancelled an operation", { operationId });
      return toWireOperation(cancelled);
    },
  };

  async function assertFewAtWork(accountId: AccountId, holder: Holder): Promise<void> {
    const ofAccount = await store.control.atWork(accountId);
    const atWork = ofAccount.filter(({ createdBy }) => holderOf(accountId, createdBy) === holder);
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

/** Filters as they are stored, without what is undefined. */
function isSame(one: TaskSelection, other: TaskSelection): boolean {
  const stored = (selection: TaskSelection) => JSON.parse(JSON.stringify(selection)) as unknown;
  return isDeepStrictEqual(stored(one), stored(other));
}
