import { type AccountId, AppError } from "@sluice/core";
import type { CallContext } from "@sluice/protocol";
import type { Authenticate } from "../accounts/authenticate.ts";
import type { ApiServerConfig } from "../config.ts";

/** The account of a call that may look after the cluster; throws with code `unauthenticated` or `forbidden`. */
export function createAuthorizeOperator(
  { auth, operatorAccounts }: Pick<ApiServerConfig, "auth" | "operatorAccounts">,
  authenticate: Authenticate,
): (context: CallContext) => Promise<AccountId> {
  const operators = new Set(operatorAccounts);
  return async (context) => {
    const accountId = await authenticate(context);
    // Without authentication everybody on this machine may do everything.
    if (auth === "none" || operators.has(accountId)) return accountId;
    throw new AppError(
      "forbidden",
      "NOT_AN_OPERATOR",
      `account ${accountId} may not look after the cluster; call with a key of an operator account (setting operatorAccounts)`,
    );
  };
}
