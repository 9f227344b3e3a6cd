// Who may pause, stop and delete what, and whose it is then.
import { AccountId, AppError } from "@sluice/core";
import type { CallContext } from "@sluice/protocol";
import type { Authenticate } from "../accounts/authenticate.ts";
import { createAuthorizeOperator } from "../cluster/operators.ts";
import type { ApiServerConfig } from "../config.ts";

/** Who ends it: the account that it is about, and operators; or operators only. */
export type Holder = "account" | "operators";

/**
 * Whose a pause or an operation is: the account's, if that account made it; else the operators'. So an operator is any other
 * account where its own tasks are meant. `accountId`: whose tasks are meant; undefined: a queue.
 */
export function holderOf(accountId: AccountId | undefined, createdBy: AccountId): Holder {
  return accountId === createdBy ? "account" : "operators";
}

export interface Access {
  readonly authenticate: Authenticate;
  /** Throws `NOT_AN_OPERATOR`. */
  readonly authorizeOperator: Authenticate;
  isOperator(context: CallContext): Promise<boolean>;
  /** The account that is meant, empty: the caller's. Throws `NOT_AN_OPERATOR` where it is another one and the caller may not. */
  accountFor(
    named: string,
    context: CallContext,
    field: string,
  ): Promise<{ readonly caller: AccountId; readonly accountId: AccountId }>;
}

export function createAccess(
  config: Pick<ApiServerConfig, "auth" | "operatorAccounts">,
  authenticate: Authenticate,
): Access {
  const authorizeOperator = createAuthorizeOperator(config, authenticate);
  return {
    authenticate,
    authorizeOperator,
    async isOperator(context) {
      try {
        await authorizeOperator(context);
        return true;
      } catch (cause) {
        if (cause instanceof AppError && cause.code === "forbidden") return false;
        throw cause;
      }
    },
    async accountFor(named, context, field) {
      const caller = await authenticate(context);
      const accountId = named === "" ? caller : AccountId(named, field);
      if (accountId !== caller) await authorizeOperator(context);
      return { caller, accountId };
    },
  };
}
