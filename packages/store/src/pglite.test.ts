import { describeSqlStore } from "./conformance.ts";
import { openPgliteSql } from "./pglite.ts";

describeSqlStore("PGlite", () => openPgliteSql({ dataDir: "memory", inWorker: false }), { connections: 1 });
