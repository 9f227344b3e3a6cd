// The limits of accounts, for operators. Changed by anybody else they would not limit anybody.
import { AccountId, AppError, invalid } from "@sluice/core";
import type {
  AccountSettings,
  Api,
  CallContext,
  ClusterServiceService,
  Account as WireAccount,
} from "@sluice/protocol";
import { accountTopic, type Signals } from "@sluice/queue";
import type { Logger } from "@sluice/runtime";
import type { AccountRecord, Store, AccountSettings as StoredSettings } from "@sluice/store";
import type { ApiServerConfig } from "../config.ts";
import { parseRate } from "../functions/settings.ts";
import { pageToken, parsePageToken } from "../wire/page-token.ts";
import { checkInteger } from "../wire/text.ts";

export interface AccountsOptions {
  readonly config: Pick<ApiServerConfig, "auth">;
  /** Throws unless the call may look after the cluster. */
  readonly authorize: (context: CallContext) => Promise<AccountId>;
  readonly store: Pick<Store, "accounts" | "functions">;
  readonly signals: Signals;
  readonly log: Logger;
}

type AccountCalls = Pick<Api<typeof ClusterServiceService>, "getAccount" | "updateAccount" | "listAccounts">;

const pageSize = { default: 100, max: 1_000 };
const fingerprint = ["accounts"];

export function createAccountCalls({ config, authorize, store, signals, log }: AccountsOptions): AccountCalls {
  async function read(accountId: AccountId): Promise<AccountRecord> {
    const [record] = await store.accounts.read([accountId]);
    if (record !== undefined) return record;
    throw new AppError("not_found", "ACCOUNT_NOT_FOUND", `there is no account ${accountId}`, { field: "account" });
  }

  return {
    async getAccount({ account }, context) {
      await authorize(context);
      return toWire(await read(AccountId(account)));
    },
    async updateAccount({ account, settings }, context) {
      const operator = await authorize(context);
      const accountId = AccountId(account);
      const changed = parseSettings(settings ?? {});
      // Without authentication nothing creates the one account that there is.
      if (config.auth !== "none") await read(accountId);
      const record = await store.accounts.update(accountId, changed);
      signals.send(accountTopic, accountId);
      log.info("changed the limits of an account", { operator, accountId, ...changed });
      return toWire(record);
    },
    async listAccounts(request, context) {
      await authorize(context);
      const range = { field: "page_size", reason: "INVALID_PAGE_SIZE", min: 0, max: pageSize.max };
      const limit = checkInteger(request.pageSize, range) || pageSize.default;
      const [after] = parsePageToken(request.pageToken, fingerprint, ["string"]) ?? [""];
      const records = await store.accounts.list({ after, limit: limit + 1 });
      const page = records.slice(0, limit);
      const nextPageToken = records.length > limit ? pageToken([page.at(-1)?.accountId ?? ""], fingerprint) : "";
      return { accounts: page.map(toWire), nextPageToken };
    },
  };
}

const ranges = {
  concurrencyMax: { field: "concurrency_max", min: 0, max: 100_000 },
  rateBurst: { field: "rate_burst", min: 0, max: 1_000_000 },
  weight: { field: "weight", min: 1, max: 100 },
} as const;

function parseSettings(wire: Partial<AccountSettings>): Partial<StoredSettings> {
  const settings: { -readonly [K in keyof StoredSettings]?: StoredSettings[K] } = {};
  for (const name of ["concurrencyMax", "rateBurst", "weight"] as const) {
    const { field, min, max } = ranges[name];
    const value = wire[name];
    if (value === undefined) continue;
    settings[name] = checkInteger(value, { field: `settings.${field}`, reason: "INVALID_SETTING", min, max });
  }
  if (wire.rateMax !== undefined) settings.rateMax = parseRate(wire.rateMax);
  if (Object.keys(settings).length > 0) return settings;
  throw invalid("NOTHING_TO_CHANGE", "settings", "name a setting to change, such as concurrency_max");
}

function toWire({ accountId, settings, limitsChangedAt, createdAt }: AccountRecord): WireAccount {
  return { id: accountId, settings: { ...settings }, limitsChangedAtMs: limitsChangedAt, createdAtMs: createdAt };
}
