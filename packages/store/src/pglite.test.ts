import { describeStore } from "./conformance.ts";
import { openPgliteSql } from "./pglite.ts";

describeStore("PGlite", () => openPgliteSql({ dataDir: "memory", inWorker: false }), { connections: 1 });
