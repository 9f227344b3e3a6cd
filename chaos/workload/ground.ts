// What clients stand on: eight accounts with their functions deployed, and a ledger beside everything that is broken.
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { SluiceClient } from "@sluice/client";
import type { Cluster } from "@sluice/cluster";
import { silentLogger, systemClock, systemRandom } from "@sluice/runtime";
import type { Store } from "@sluice/store";
import { openPostgres } from "@sluice/store/postgres";
import { openFolder } from "@sluice/testbed";
import { Registry } from "prom-client";
import type { Arena } from "../contract.ts";
import { createAccounts } from "./accounts.ts";
import { ledgerNow } from "./clock.ts";
import { deployFunctions } from "./deploy.ts";
import { type Ledger, openLedger } from "./ledger.ts";

export interface Ground extends AsyncDisposable {
  /** The store itself: what is true, whatever stands between it and the clients. */
  readonly store: Store;
  readonly ledger: Ledger;
  readonly ledgerPath: string;
  /** When every function was deployed with its limits, by the ledger's clock. */
  readonly deployedAt: number;
  /** Of an account. */
  clients(account: string): readonly SluiceClient[];
}

/** So that each of two api-servers has clients of every account. */
const clientsPerAccount = 2;
/** After so long a client calls an outcome unknown. */
const retryTimeoutMs = 10_000;

export async function openGround(arena: Pick<Arena, "cluster" | "connect">): Promise<Ground> {
  const { cluster } = arena;
  // Handlers may run as somebody else.
  const folder = openFolder({ name: "chaos", mode: 0o755 });
  const path = join(folder.path, "ledger");
  writeFileSync(path, "");
  chmodSync(path, 0o666);
  const store = await openStore(cluster);
  const clients = new Map<string, readonly SluiceClient[]>();
  const ledger = openLedger(path);
  const ground = {
    store,
    ledger,
    ledgerPath: path,
    deployedAt: Number.POSITIVE_INFINITY,
    clients: (account: string) => clients.get(account) ?? [],
    async [Symbol.asyncDispose]() {
      await Promise.all([...clients.values()].flat().map((client) => client.close()));
      await store[Symbol.asyncDispose]();
      ledger[Symbol.dispose]();
      folder.delete();
    },
  };
  try {
    for (const { account, ...key } of await createAccounts(cluster, store)) {
      clients.set(
        account,
        Array.from({ length: clientsPerAccount }, () => arena.connect({ ...key, retryTimeoutMs })),
      );
    }
    await Promise.all([...clients].map(([account, [client]]) => client && deployFunctions(client, account, path)));
    ground.deployedAt = ledgerNow();
    return ground;
  } catch (error) {
    await ground[Symbol.asyncDispose]();
    throw error;
  }
}

async function openStore(cluster: Cluster): Promise<Store> {
  const url = cluster.backends.find(({ kind }) => kind === "postgres")?.url;
  if (url === undefined) throw new Error("the cluster has no PostgreSQL");
  return openPostgres({
    url,
    connectionsMax: 2,
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
    registry: new Registry(),
  });
}
