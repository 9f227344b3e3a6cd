import type { AccountId } from "@sluice/core";
import { assertBatch } from "./bounds.ts";
import {
  type AccessKey,
  type AccountRecord,
  type AccountRecords,
  type AccountSettings,
  defaultAccountSettings,
} from "./index.ts";
import { limitsChangedAt } from "./limits.ts";
import { textArray } from "./parameters.ts";
import { nowSql, statement } from "./sql.ts";
import type { Database } from "./sql-store.ts";

const columns = "key_id, account_id, encrypted_secret, enabled";

const createAccountStatement = statement(
  "create_account",
  `insert into accounts (account_id, created_at) values ($1::text, ${nowSql("$2")}) on conflict do nothing`,
);

const createKeyStatement = statement(
  "create_key",
  `
insert into access_keys (key_id, account_id, encrypted_secret, enabled, created_at)
values ($1::text, $2::text, $3::bytea, $4::bool, ${nowSql("$5")})
on conflict (key_id) do nothing
returning key_id`,
);

const keyStatement = statement("key", `select ${columns} from access_keys where key_id = $1::text`);

/** Index: access_keys_account. */
const keysStatement = statement(
  "keys",
  `select ${columns} from access_keys where account_id = $1::text order by account_id, key_id`,
);

const accountColumns = "a.account_id, a.settings, a.limits_changed_at, a.created_at";

/** Index: accounts_pkey. */
export const readAccountsStatement = statement(
  "read_accounts",
  `
select ${accountColumns}
from unnest($1::text[]) as k (account_id)
join accounts a on a.account_id = k.account_id`,
);

/** An account that is not there yet may have functions and tasks: that of a cluster without authentication. */
const updateAccountStatement = statement(
  "update_account",
  `
insert into accounts as a (account_id, created_at, settings, limits_changed_at)
select $1::text, ${nowSql("$3")}, $2::jsonb, ${limitsChangedAt("none", "$2", nowSql("$3"))}
from (select '{}'::jsonb as settings, 0::int8 as limits_changed_at) as none
on conflict (account_id) do update set
  settings = a.settings || $2::jsonb,
  limits_changed_at = ${limitsChangedAt("a", "$2", nowSql("$3"))}
returning ${accountColumns}`,
);

/** Index: accounts_pkey. */
const listAccountsStatement = statement(
  "list_accounts",
  `select ${accountColumns} from accounts a where a.account_id > $1::text order by a.account_id limit $2::int8`,
);

interface AccountColumns {
  readonly account_id: string;
  readonly settings: Partial<AccountSettings>;
  readonly limits_changed_at: number;
  readonly created_at: number;
}

interface KeyColumns {
  readonly key_id: string;
  readonly account_id: string;
  readonly encrypted_secret: Uint8Array;
  readonly enabled: boolean;
}

export function accountRecords({ sql, now }: Database): AccountRecords {
  return {
    async read(accountIds) {
      assertBatch(accountIds, "accounts");
      const parameters = [textArray([...new Set(accountIds)])];
      return (await sql.query<AccountColumns>(readAccountsStatement, parameters)).map(toAccount);
    },
    async update(accountId, settings) {
      const parameters = [accountId, JSON.stringify(settings), now()];
      const [row] = await sql.query<AccountColumns>(updateAccountStatement, parameters);
      if (row === undefined) throw new Error("an upsert returns its row");
      return toAccount(row);
    },
    async list({ after, limit }) {
      assertBatch(limit, "accounts");
      return (await sql.query<AccountColumns>(listAccountsStatement, [after, limit])).map(toAccount);
    },
    async createKey(key) {
      return await sql.transaction(async (transaction) => {
        await transaction.query(createAccountStatement, [key.accountId, now()]);
        const parameters = [key.keyId, key.accountId, key.encryptedSecret, key.enabled, now()];
        return (await transaction.query(createKeyStatement, parameters)).length === 1;
      });
    },
    async key(keyId) {
      const [row] = await sql.query<KeyColumns>(keyStatement, [keyId]);
      return row && toKey(row);
    },
    async keys(accountId) {
      return (await sql.query<KeyColumns>(keysStatement, [accountId])).map(toKey);
    },
  };
}

function toAccount(row: AccountColumns): AccountRecord {
  return {
    accountId: row.account_id as AccountId,
    settings: { ...defaultAccountSettings, ...row.settings },
    limitsChangedAt: row.limits_changed_at,
    createdAt: row.created_at,
  };
}

function toKey(row: KeyColumns): AccessKey {
  return {
    keyId: row.key_id,
    accountId: row.account_id as AccountId,
    encryptedSecret: row.encrypted_secret,
    enabled: row.enabled,
  };
}
