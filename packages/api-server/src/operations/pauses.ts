// Pauses: of an account, or of the operators. Both may hold the same target, each by itself.
import { type AccountId, AppError } from "@sluice/core";
import type { Api, CallContext, OperationServiceService, PauseTarget as WireTarget } from "@sluice/protocol";
import { controlTopic, type Signals } from "@sluice/queue";
import type { Logger } from "@sluice/runtime";
import { type PauseRecord, type PauseTarget, pausesMax, type Store } from "@sluice/store";
import { checkText } from "../wire/text.ts";
import { type Access, type Holder, holderOf } from "./access.ts";
import { accountOf, parseTarget, pauseIdOf, toWirePause } from "./targets.ts";

export interface PauseCallsOptions {
  readonly access: Access;
  readonly store: Pick<Store, "control" | "functions" | "accounts" | "lanes">;
  readonly signals: Signals;
  readonly log: Logger;
}

/** Every row that is read is compared with each of an account's: its own, and as many of the operators. */
const pausesOfAccountMax = 100;
/** Accounts get no more while there are so many of everybody: the others are kept for operators. */
const pausesOfAccountsMax = 9_000;
const reasonLengthMax = 256;

export function createPauseCalls({
  access,
  store,
  signals,
  log,
}: PauseCallsOptions): Pick<Api<typeof OperationServiceService>, "pause" | "resume" | "listPauses"> {
  async function targetOf(wire: WireTarget | undefined, context: CallContext) {
    const { caller, accountId } = await access.accountFor(wire?.accountId ?? "", context, "target.account_id");
    const target = parseTarget(wire ?? { target: undefined, accountId: "" }, accountId);
    if (target.kind === "queue") await access.authorizeOperator(context);
    return { caller, target, holder: holderOf(accountOf(target), caller) };
  }

  /** A pause of what is misspelt would look like one that holds. */
  async function assertThere(target: PauseTarget, caller: AccountId): Promise<void> {
    if (target.kind === "queue") return await assertQueueThere(target.queue);
    const { accountId, functionName } =
      target.kind === "tasks" ? target.filter : { functionName: undefined, ...target };
    // Without authentication nothing creates the one account that there is.
    if (accountId !== caller && (await store.accounts.read([accountId])).length === 0) {
      const message = `there is no account ${accountId}; \`sluice accounts\` lists them`;
      throw new AppError("not_found", "ACCOUNT_NOT_FOUND", message, { field: "target.account_id" });
    }
    if (functionName === undefined) return;
    const [found] = await store.functions.read([{ accountId, functionName }]);
    if (found !== undefined) return;
    const message = `account ${accountId} has no function ${functionName}`;
    throw new AppError("not_found", "FUNCTION_NOT_FOUND", message, { field: "target" });
  }

  async function assertQueueThere(queue: string): Promise<void> {
    const queues = [...(await store.lanes.allFloors()).keys()];
    if (queues.includes(queue)) return;
    const message = `there is no queue ${queue}; there are: ${queues.join(", ")}`;
    throw new AppError("not_found", "QUEUE_NOT_FOUND", message, { field: "target" });
  }

  /** Of queues there are few. */
  async function assertRoomFor(pauseId: string, target: PauseTarget, holder: Holder): Promise<void> {
    const accountId = accountOf(target);
    if (accountId === undefined) return;
    const known = (await store.control.pauses(accountId)).filter((pause) => heldBy(pause) === holder);
    if (known.length < pausesOfAccountMax || known.some((pause) => pause.pauseId === pauseId)) return;
    const whose = holder === "account" ? "the account has" : "the operators have, for the account,";
    throw new AppError(
      "exhausted",
      "TOO_MANY_PAUSES",
      `${whose} ${known.length} pauses already; resume some, or pause with a wider filter`,
    );
  }

  return {
    async pause(request, context) {
      const { caller, target, holder } = await targetOf(request.target, context);
      const reason = checkText(request.reason, "reason", reasonLengthMax);
      const pauseId = pauseIdOf(target, holder);
      await assertThere(target, caller);
      await assertRoomFor(pauseId, target, holder);
      const most = holder === "account" ? pausesOfAccountsMax : pausesMax;
      const pause = await store.control.pause({ pauseId, target, reason, createdBy: caller }, { pausesMax: most });
      if (pause === undefined) {
        const whatHelps = holder === "account" ? "resume some of yours, or ask the operators" : "resume some";
        const message = `the cluster has ${most} pauses or more, and takes no more of ${whose[holder]}; ${whatHelps}`;
        throw new AppError("exhausted", "TOO_MANY_PAUSES", message);
      }
      signals.send(controlTopic, "");
      log.info("paused", { accountId: caller, pauseId, target, holder });
      return toWirePause(pause);
    },

    async resume(request, context) {
      const caller = await access.authenticate(context);
      const isOperator = await access.isOperator(context);
      const named = request.pauseId === "" ? await targetOf(request.target, context) : undefined;
      const pauseId = named ? pauseIdOf(named.target, named.holder) : request.pauseId;
      // One of another account, or of a queue, is not known to those who are no operators.
      const known = await store.control.pauses(isOperator ? undefined : caller);
      const pause = known.find((each) => each.pauseId === pauseId);
      const target = pause?.target ?? named?.target;
      const other = target && known.find((each) => each.pauseId !== pauseId && isSame(each.target, target));
      const left = pause ?? other;
      if (left && !isOperator && heldBy(left) === "operators") throw pausedByOperators(left);
      const resumed = pause !== undefined && (await store.control.resume(pauseId));
      signals.send(controlTopic, "");
      if (resumed) log.info("resumed", { accountId: caller, pauseId });
      return { resumed, stillHeld: other && toWirePause(other) };
    },

    async listPauses(_request, context) {
      const caller = await access.authenticate(context);
      const pauses = await store.control.pauses((await access.isOperator(context)) ? undefined : caller);
      return { pauses: pauses.map(toWirePause) };
    },
  };
}

const whose: Readonly<Record<Holder, string>> = { account: "accounts", operators: "operators" };

function heldBy({ target, createdBy }: PauseRecord): Holder {
  return holderOf(accountOf(target), createdBy);
}

function isSame(one: PauseTarget, other: PauseTarget): boolean {
  return pauseIdOf(one, "account") === pauseIdOf(other, "account");
}

function pausedByOperators({ pauseId, reason }: PauseRecord): AppError {
  const why = reason === "" ? "" : ` (${reason})`;
  const message = `operators have paused it${why}, and only they resume it; ask them to resume ${pauseId}`;
  return new AppError("forbidden", "PAUSED_BY_OPERATORS", message);
}
