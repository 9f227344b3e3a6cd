import type { AccountId } from "@sluice/core";
import type { AccessKey, AccountRecords } from "@sluice/store";
import type { Model } from "./model-store.ts";
import { storable } from "./storable.ts";
import { inOrder } from "./tables.ts";

export function accountRecords({ tables }: Model): AccountRecords {
  const { keys } = tables;
  return {
    async createKey(key) {
      const keyId = storable(key.keyId);
      const accountId = storable(key.accountId) as AccountId;
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
