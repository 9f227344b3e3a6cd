import type { FakeClock } from "@sluice/core/testing";
import type { Store } from "@sluice/store";
import { createModelStore } from "./model-store.ts";

/** The store of a process, which one run after the other may use. */
export interface StoreOfRuns extends AsyncDisposable {
  /** Empties it, and says how to open it on the clock of a run. */
  reset(): Promise<(clock: FakeClock) => Store>;
}

/** `model`: in plain memory. `pglite`: the real SQL, with which a run takes five times as long and is the same run. */
export const storeKinds = ["model", "pglite"] as const;
export type StoreKind = (typeof storeKinds)[number];

export async function openStoreOfRuns(kind: StoreKind = "model"): Promise<StoreOfRuns> {
  if (kind === "pglite") return await openPglite();
  return {
    reset: async () => (clock) => createModelStore({ clock }),
    async [Symbol.asyncDispose]() {},
  };
}

async function openPglite(): Promise<StoreOfRuns> {
  // Loaded where it is used: it is much of what a process takes to start.
  const { createSqlStore, openPgliteSql } = await import("@sluice/store/pglite");
  const sql = await openPgliteSql({ dataDir: "memory", inWorker: false });
  return {
    async reset() {
      await sql.exec(
        "truncate tasks, floors, functions, deleted_functions, code_packages, access_keys, accounts, agents, log_pieces, pauses, operations, operation_lanes restart identity; alter sequence function_revisions restart",
      );
      return (clock) => createSqlStore({ sql, clock });
    },
    [Symbol.asyncDispose]: () => sql[Symbol.asyncDispose](),
  };
}
