import type { AccountId } from "@sluice/core";
import type { AccessKey, AccountRecords } from "./index.ts";
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

interface KeyColumns {
  readonly key_id: string;
  readonly account_id: string;
  readonly encrypted_secret: Uint8Array;
  readonly enabled: boolean;
}

export function accountRecords({ sql, now }: Database): AccountRecords {
  return {
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

function toKey(row: KeyColumns): AccessKey {
  return {
    keyId: row.key_id,
    accountId: row.account_id as AccountId,
    encryptedSecret: row.encrypted_secret,
    enabled: row.enabled,
  };
}
