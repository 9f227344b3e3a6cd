import { chmodSync, chownSync, copyFileSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { TlsFiles } from "@sluice/core";
import { type PostgresBackend, startPostgres } from "@sluice/testbed";
import { type Authority, createAuthority } from "@sluice/testbed/certificates";
import { afterAll, beforeAll, expect, test } from "vitest";
import { aNewTask } from "../conformance/subject.ts";
import { DatabaseError } from "../failures.ts";
import { connect, type ServerAddress } from "./connect.ts";
import { open, rows } from "./testing.ts";

let postgres: PostgresBackend;
let authority: Authority;

/** The server proves to be `localhost`, and lets `certified` in with a certificate of that name only. */
beforeAll(async () => {
  postgres = await startPostgres({ fsync: false });
  authority = createAuthority();
  const folder = join(dirname(postgres.logFile), "data");
  const { cert, key } = authority.issue("server", { names: ["DNS:localhost"] });
  const { uid, gid } = statSync(folder);
  const files = { "server.crt": cert, "server.key": key, "root.crt": authority.ca };
  for (const [name, from] of Object.entries(files)) {
    copyFileSync(from, join(folder, name));
    chownSync(join(folder, name), uid, gid);
    chmodSync(join(folder, name), 0o600);
  }
  const access = join(folder, "pg_hba.conf");
  writeFileSync(access, `hostssl all certified all cert\n${readFileSync(access, "utf8")}`);
  await using admin = await open(postgres.url);
  await admin.sql.exec("create role certified login superuser");
  await admin.sql.exec("alter system set ssl = on");
  await admin.sql.exec("alter system set ssl_ca_file = 'root.crt'");
  await rows(admin.sql, "select pg_reload_conf()");
});
afterAll(async () => {
  authority[Symbol.dispose]();
  await postgres[Symbol.asyncDispose]();
});

test("with TLS files everything travels encrypted, results larger than a record too", async () => {
  await using opened = await open(address({}).url, { tls: authority.files() });
  const payload = new Uint8Array(200_000).map((_, at) => at % 256);
  const task = aNewTask({ payload });

  await opened.store.tasks.insert([task]);

  const found = await opened.store.tasks.get(task);
  expect(Buffer.compare(payload, found?.payload ?? new Uint8Array())).toBe(0);
  const encrypted = await rows(opened.sql, "select ssl from pg_stat_ssl where pid = pg_backend_pid()");
  expect(encrypted).toEqual([{ ssl: true }]);
});

test("what the url says of TLS does not weaken it", async () => {
  await expect(tried({ query: "?sslmode=disable" }, authority.files())).resolves.toBe("connected");
  await expect(tried({ query: "?sslmode=no-verify" }, otherAuthority())).rejects.toThrow();
});

test("a server of another authority, or with another name, is refused", async () => {
  await expect(tried({}, otherAuthority())).rejects.toMatchObject({
    reason: "STORE_UNAVAILABLE",
    cause: { code: expect.stringMatching(/SIGNATURE|CERT|VERIFY/) },
  });
  await expect(tried({ host: "127.0.0.1" }, authority.files())).rejects.toMatchObject({
    cause: { code: "ERR_TLS_CERT_ALTNAME_INVALID" },
  });
});

test("a server without TLS is refused when TLS is demanded", async () => {
  await using plain = await startPostgres({ fsync: false });

  const connecting = connect({ url: plain.url, tls: authority.files() }, new AbortController().signal);

  await expect(connecting).rejects.toMatchObject({ reason: "STORE_UNAVAILABLE" });
});

test("a certificate of our own proves who we are", async () => {
  const own = authority.files(authority.issue("certified"));

  await expect(tried({ user: "certified" }, own)).resolves.toBe("connected");
  await expect(tried({ user: "certified" }, authority.files())).rejects.toMatchObject({
    cause: expect.any(DatabaseError),
  });
});

function otherAuthority(): TlsFiles {
  using other = createAuthority();
  return other.files();
}

async function tried(where: Parameters<typeof address>[0], tls: TlsFiles): Promise<"connected"> {
  const socket = await connect({ ...address(where), tls }, new AbortController().signal);
  socket.destroy();
  return "connected";
}

function address({ host = "localhost", user = "sluice", query = "" }): ServerAddress {
  const url = new URL(postgres.url + query);
  url.hostname = host;
  url.username = user;
  return { url: url.href };
}
