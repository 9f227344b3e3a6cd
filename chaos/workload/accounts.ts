// Eight accounts with a key each, made in the store as an operator would.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createAccessKey } from "@sluice/api-server";
import type { Cluster } from "@sluice/cluster";
import { AccountId } from "@sluice/core";
import type { Store } from "@sluice/store";
import { accounts } from "./plan.ts";

export interface AccountKey {
  readonly account: string;
  readonly accessKeyId: string;
  readonly accessKeySecret: string;
}

/** May be repeated. */
export async function createAccounts(cluster: Pick<Cluster, "dataDir">, store: Store): Promise<AccountKey[]> {
  const secrets = JSON.parse(readFileSync(join(cluster.dataDir, "secrets.json"), "utf8")) as { masterKey: string };
  const masterKey = Buffer.from(secrets.masterKey, "hex");
  return Promise.all(
    accounts.map(async (account) => {
      const { keyId, secret } = await createAccessKey(store, masterKey, { accountId: AccountId(account) });
      return { account, accessKeyId: keyId, accessKeySecret: secret };
    }),
  );
}
