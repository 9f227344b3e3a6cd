import { describeStore } from "@sluice/store/conformance";
import { createModelStore } from "./model-store.ts";
import { createTables } from "./tables.ts";

describeStore(
  "the model",
  async () => {
    let tables = createTables();
    return {
      storeOn: (clock) => createModelStore({ clock, tables }),
      async reset() {
        tables = createTables();
      },
      async [Symbol.asyncDispose]() {},
    };
  },
  { connections: 1 },
);
