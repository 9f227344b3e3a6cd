import { type PostgresBackend, startPostgres } from "@sluice/testbed";
import { afterAll } from "vitest";
import { describeSqlStore } from "./conformance.ts";
import { open } from "./postgres/testing.ts";

let postgres: PostgresBackend | undefined;
afterAll(() => postgres?.[Symbol.asyncDispose]());

describeSqlStore(
  "PostgreSQL",
  async () => {
    postgres = await startPostgres({ fsync: false });
    return (await open(postgres.url, { connectionsMax: 10 })).sql;
  },
  { connections: 10 },
);
