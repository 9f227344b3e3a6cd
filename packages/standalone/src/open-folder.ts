import type { Store } from "@sluice/store";
import { openPglite } from "@sluice/store/pglite";
import { type DataDir, openDataDir } from "./data-dir.ts";

/** The folder of an instance, locked, and its database, which may still be starting. */
export interface OpenedFolder extends AsyncDisposable {
  readonly dataDir: DataDir;
  readonly store: Promise<Store>;
}

/** Throws `DATA_DIR_IN_USE`. */
export function openFolder(folder: string): OpenedFolder {
  const dataDir = openDataDir(folder);
  const store = openPglite({ dataDir: dataDir.database, inWorker: true });
  // Whoever awaits it hears of a failure; until then nobody does.
  store.catch(() => undefined);
  return {
    dataDir,
    store,
    async [Symbol.asyncDispose]() {
      await store.then((opened) => opened[Symbol.asyncDispose]()).catch(() => undefined);
      dataDir[Symbol.dispose]();
    },
  };
}
