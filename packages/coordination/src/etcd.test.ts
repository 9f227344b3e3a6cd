import { once } from "node:events";
import { connect } from "node:net";
import { createServer } from "node:tls";
import { eventually } from "@sluice/core/testing";
import { systemClock } from "@sluice/runtime";
import { type Backend, startEtcd } from "@sluice/testbed";
import { type Authority, createAuthority } from "@sluice/testbed/certificates";
import { Etcd3 } from "etcd3";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeCoordinator } from "./conformance.ts";
import { newNamespace, openTestEtcd } from "./etcd/test-etcd.fixture.ts";
import type { Operation } from "./index.ts";

let server: Backend;
beforeAll(async () => {
  server = await startEtcd();
});
afterAll(() => server[Symbol.asyncDispose]());

describeCoordinator("etcd", async () => {
  const namespace = newNamespace();
  const clients = [
    openTestEtcd([server.address], { namespace }),
    openTestEtcd([server.address], { namespace }),
  ] as const;
  return {
    coordinator: clients[0].coordinator,
    other: clients[1].coordinator,
    ttlMs: 1_000,
    pass: (ms) => systemClock.sleep(ms),
    async [Symbol.asyncDispose]() {
      await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
    },
  };
});

test("a list that is longer than one answer is whole, in order, and of one revision", async () => {
  await using etcd = openTestEtcd([server.address], { namespace: newNamespace() });
  const keys = Array.from({ length: 2_100 }, (_, index) => `/k/${String(index).padStart(5, "0")}`);
  for (let from = 0; from < keys.length; from += 128) {
    const puts = keys.slice(from, from + 128).map((key): Operation => ({ op: "put", key, value: key }));
    await etcd.coordinator.commit([], puts);
  }
  const changing = new AbortController();
  const changes = (async () => {
    for (let turn = 0; !changing.signal.aborted; turn++) {
      const key = turn % 2 === 0 ? "/k/00000" : "/k/02099";
      await etcd.coordinator.commit([], [{ op: "put", key, value: String(turn) }]);
    }
  })();
  for (let look = 0; look < 10; look++) {
    const entries = await etcd.coordinator.list("/k/");
    expect(entries.map(({ key }) => key)).toEqual(keys);
    // The writer changes the last one after the first one, by turns: any other state was never there.
    const [first, last] = [entries[0], entries.at(-1)];
    if (look > 0) expect(Math.abs(Number(first?.value) - Number(last?.value))).toBe(1);
    await eventually(async () => (await etcd.coordinator.get("/k/02099"))?.value !== last?.value);
  }
  changing.abort();
  await changes;
});

test("clients with another namespace see and change other keys", async () => {
  await using first = openTestEtcd([server.address], { namespace: "first" });
  await using second = openTestEtcd([server.address], { namespace: "second" });
  await using whole = openTestEtcd([server.address]);
  let hints = 0;
  second.coordinator.watch("/", () => hints++);
  await first.coordinator.commit([], [{ op: "put", key: "/a", value: "1" }]);
  expect(await second.coordinator.list("")).toEqual([]);
  await second.coordinator.commit([{ key: "/a", is: "absent" }], [{ op: "put", key: "/a", value: "2" }]);
  expect((await first.coordinator.list("")).map(({ key, value }) => [key, value])).toEqual([["/a", "1"]]);
  expect((await whole.coordinator.list("second")).map(({ key }) => key)).toEqual(["second/a"]);
  expect((await whole.coordinator.list("")).length).toBeGreaterThanOrEqual(2);
});

test("a lease lives for as long as etcd granted it, which may be longer than asked for", async () => {
  await using etcd = openTestEtcd([server.address]);
  expect((await etcd.coordinator.grant(2_500)).ttlMs).toBe(3_000);
  expect((await etcd.coordinator.grant(1)).ttlMs).toBeGreaterThanOrEqual(1_000);
});

test("a transaction of more than 128 conditions, or that changes a key twice, is a bug of the caller", async () => {
  await using etcd = openTestEtcd([server.address]);
  const conditions = Array.from({ length: 129 }, (_, index) => ({ key: `/${index}`, is: "absent" as const }));
  await expect(etcd.coordinator.commit(conditions, [])).rejects.toThrow("at most 128");
  const put = { op: "put", key: "/a", value: "" } as const;
  await expect(etcd.coordinator.commit([], [put, { op: "delete", key: "/a" }])).rejects.toThrow("once");
});

test("a server with a certificate is believed if the authority signed it, and asks for ours in turn", async () => {
  using authority = createAuthority();
  await using door = await openEncryptedDoor(authority);
  const mutual = authority.files(authority.issue("scheduler"));
  await using etcd = openTestEtcd([door.address], { tls: mutual });
  await etcd.coordinator.commit([], [{ op: "put", key: "/tls", value: "1" }]);
  expect(etcd.health.isUp).toBe(true);

  using stranger = createAuthority();
  const refused = [
    { tls: authority.files() },
    { tls: stranger.files(stranger.issue("scheduler")) },
    // Without encryption.
    {},
  ];
  for (const options of refused) {
    await using other = openTestEtcd([door.address], { ...options, callDeadlineMs: 500 });
    await expect(other.coordinator.get("/tls")).rejects.toMatchObject({ reason: "COORDINATOR_UNAVAILABLE" });
    expect(other.health.isUp).toBe(false);
  }
});

test("a user logs in by password, and again when etcd has forgotten it; a wrong password is no answer", async () => {
  await using guarded = await startEtcd();
  await guardWithPassword(guarded, { user: "root", password: "secret" });
  await using etcd = openTestEtcd([guarded.address], { credentials: { user: "root", password: "secret" } });
  const { coordinator } = etcd;
  await coordinator.commit([], [{ op: "put", key: "/a", value: "1" }]);
  let hints = 0;
  coordinator.watch("/", () => hints++);

  // Tokens live in its memory.
  await guarded.stop("SIGKILL");
  await guarded.start();
  expect(await eventually(() => coordinator.get("/a"))).toMatchObject({ value: "1" });
  await eventually(async () => {
    await coordinator.commit([], [{ op: "put", key: "/a", value: "2" }]);
    return hints > 0;
  });

  for (const credentials of [{ user: "root", password: "wrong" }, undefined]) {
    await using other = openTestEtcd([guarded.address], { callDeadlineMs: 500, ...(credentials && { credentials }) });
    await expect(other.coordinator.get("/a")).rejects.toMatchObject({ reason: "COORDINATOR_UNAVAILABLE" });
    expect(other.health.isUp).toBe(false);
  }
});

/** Decrypts, for clients that the authority vouches for, and passes on to etcd. */
async function openEncryptedDoor(authority: Authority) {
  const { ca, cert = "", key = "" } = authority.files(authority.issue("etcd"));
  const options = { ca, cert, key, requestCert: true, rejectUnauthorized: true, ALPNProtocols: ["h2"] };
  const door = createServer(options, (client) => {
    const target = connect({ host: server.host, port: server.port });
    client.pipe(target).pipe(client);
    client.on("error", () => target.destroy());
    target.on("error", () => client.destroy());
  });
  await once(door.listen(0, server.host), "listening");
  const { port } = door.address() as { port: number };
  return {
    address: `localhost:${port}`,
    async [Symbol.asyncDispose]() {
      door.close();
    },
  };
}

async function guardWithPassword(backend: Backend, { user, password }: { user: string; password: string }) {
  const admin = new Etcd3({ hosts: backend.address });
  await admin.user(user).create(password);
  await admin.role(user).create();
  await admin.user(user).addRole(user);
  await admin.auth.authEnable();
  admin.close();
}
