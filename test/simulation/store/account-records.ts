import { type AccountId, isLimited } from "@sluice/core";
import { type AccessKey, type AccountRecord, type AccountRecords, defaultAccountSettings } from "@sluice/store";
import type { Model } from "./model-store.ts";
import { assertBatch, storable } from "./storable.ts";
import { inOrder } from "./tables.ts";

export function accountRecords({ tables, now }: Model): AccountRecords {
  const { keys, accounts } = tables;
  const create = (accountId: AccountId): AccountRecord => {
    const settings = { ...defaultAccountSettings };
    const record = accounts.get(accountId) ?? { accountId, settings, limitsChangedAt: 0, createdAt: now() };
    accounts.set(accountId, record);
    return record;
  };
  return {
    async read(accountIds) {
      assertBatch(accountIds, "accounts");
      return [...new Set(accountIds)].flatMap((id) => accounts.get(storable(id)) ?? []).map(copyOfAccount);
    },
    async update(accountId, changed) {
      const before = create(storable(accountId) as AccountId);
      const settings = { ...before.settings, ...changed };
      const isSame = isLimited(before.settings) === isLimited(settings);
      const limitsChangedAt = isSame ? before.limitsChangedAt : Math.max(now(), before.limitsChangedAt + 1);
      const record = { ...before, settings, limitsChangedAt };
      accounts.set(before.accountId, record);
      return copyOfAccount(record);
    },
    async list({ after, limit }) {
      assertBatch(limit, "accounts");
      return [...accounts.values()]
        .filter(({ accountId }) => inOrder(accountId, storable(after)) > 0)
        .sort((a, b) => inOrder(a.accountId, b.accountId))
        .slice(0, limit)
        .map(copyOfAccount);
    },
    async createKey(key) {
      const keyId = storable(key.keyId);
      const accountId = storable(key.accountId) as AccountId;
      create(accountId);
      if (keys.has(keyId)) return false;
      keys.set(keyId, copyOf({ ...key, keyId, accountId }));
      return true;
    },
    async key(keyId) {
      const key = keys.get(storable(keyId));
      return key && copyOf(key);
    },
    async keys(accountId) {
      return [...keys.values()]
        .filter((key) => key.accountId === accountId)
        .sort((a, b) => inOrder(a.keyId, b.keyId))
        .map(copyOf);
    },
  };
}

function copyOf({ keyId, accountId, encryptedSecret, enabled }: AccessKey): AccessKey {
  return { keyId, accountId, encryptedSecret: new Uint8Array(encryptedSecret), enabled };
}

function copyOfAccount(record: AccountRecord): AccountRecord {
  return { ...record, settings: { ...record.settings } };
}
