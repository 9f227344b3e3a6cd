import { chmodSync, chownSync, copyFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { type PostgresBackend, startPostgres } from "@sluice/testbed";
import { type Authority, createAuthority } from "@sluice/testbed/certificates";
import { afterAll, beforeAll, expect, test } from "vitest";
import { open, rows } from "./testing.ts";

let postgres: PostgresBackend;
let authority: Authority;

/** The server gets a certificate for `localhost`, and demands one of those who come as user `certified`. */
beforeAll(async () => {
  postgres = await startPostgres({ fsync: false });
  authority = createAuthority();
  const server = authority.issue("server", { names: ["DNS:localhost"] });
  const folder = join(dirname(postgres.logFile), "data");
  const { uid, gid } = statSync(folder);
  for (const [from, name] of [
    [server.cert, "server.crt"],
    [server.key, "server.key"],
    [authority.ca, "root.crt"],
  ] as const) {
    copyFileSync(from, join(folder, name));
    chownSync(join(folder, name), uid, gid);
    chmodSync(join(folder, name), 0o600);
  }
  await using admin = await open(postgres.url);
  await admin.sql.exec("create role certified login superuser");
  for (const setting of ["ssl = on", "ssl_ca_file = 'root.crt'"]) await admin.sql.exec(`alter system set ${setting}`);
  await rows(admin.sql, "select pg_reload_conf()");
});
afterAll(async () => {
  authority[Symbol.dispose]();
  await postgres[Symbol.asyncDispose]();
});

test("with TLS files the connection is encrypted, and everything works on it", async () => {
  await using opened = await open(at("localhost"), { tls: authority.files() });
});

function at(host: string): string {
  const url = new URL(postgres.url);
  url.hostname = host;
  return url.href;
}
