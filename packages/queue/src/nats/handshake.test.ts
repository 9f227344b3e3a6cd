// How the driver proves who it is and checks the server: against a server that only greets, since the real ones of the tests
// run without certificates and users.
import { createServer, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { TLSSocket } from "node:tls";
import { eventually } from "@sluice/core/testing";
import { createAuthority } from "@sluice/testbed/certificates";
import { expect, onTestFinished, test } from "vitest";
import { openDriver } from "./testing/world.ts";

interface Greeting {
  readonly tls?: { readonly ca: string; readonly cert?: string; readonly key?: string };
}

/** Speaks as much NATS as it takes to connect. */
async function startGreeter({ tls }: Greeting = {}) {
  const connects: { readonly user?: string; readonly pass?: string; readonly isEncrypted: boolean }[] = [];
  const server = createServer((plain) => {
    const info = {
      server_id: "S",
      version: "2.9.10",
      max_payload: 1_024,
      headers: true,
      proto: 1,
      tls_required: !!tls,
    };
    plain.on("error", () => {});
    plain.write(`INFO ${JSON.stringify(info)}\r\n`);
    const socket: Socket = tls
      ? new TLSSocket(plain, { isServer: true, ...tls, requestCert: true, rejectUnauthorized: true })
      : plain;
    socket.on("error", () => {});
    const lines = createInterface({ input: socket });
    // It repeats the failures of its input.
    lines.on("error", () => {});
    lines.on("line", (line) => {
      if (line.startsWith("CONNECT ")) connects.push({ ...JSON.parse(line.slice(8)), isEncrypted: socket !== plain });
      if (line === "PING") socket.write("PONG\r\n");
    });
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  onTestFinished(() => void server.close());
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return { connects, address: `localhost:${address.port}` };
}

test("user and password are given to the server", async () => {
  const greeter = await startGreeter();
  await using _driver = openDriver([greeter], { credentials: { user: "sluice", password: "top secret" } });
  await eventually(() => greeter.connects.length > 0);
  expect(greeter.connects[0]).toMatchObject({ user: "sluice", pass: "top secret", isEncrypted: false });
});

test("with TLS files both sides prove who they are before anything is said", async () => {
  using authority = createAuthority();
  const greeter = await startGreeter({ tls: authority.files(authority.issue("nats")) });
  await using _driver = openDriver([greeter], {
    tls: authority.files(authority.issue("sluice")),
    credentials: { user: "sluice", password: "top secret" },
  });
  await eventually(() => greeter.connects.length > 0);
  expect(greeter.connects[0]).toMatchObject({ user: "sluice", isEncrypted: true });
});

test("a server of another authority, one without TLS, and one that asks for a certificate in vain hear no password", async () => {
  using ours = createAuthority();
  using theirs = createAuthority();
  const certificate = ours.files(ours.issue("nats"));
  const greeters = [
    await startGreeter({ tls: theirs.files(theirs.issue("nats")) }),
    await startGreeter(),
    await startGreeter({ tls: certificate }),
  ];
  const credentials = { user: "sluice", password: "top secret" };
  const warnings: string[] = [];
  const log = {
    debug() {},
    info() {},
    warn: (_message: string, fields?: object) => warnings.push(JSON.stringify(fields)),
    error() {},
    child: () => log,
  };
  for (const [index, greeter] of greeters.entries()) {
    await using _driver = openDriver([greeter], {
      tls: ours.files(index < 2 ? ours.issue("a") : undefined),
      credentials,
      log,
    });
    await eventually(() => warnings.length > index);
  }
  expect(greeters.flatMap(({ connects }) => connects)).toEqual([]);
  expect(warnings.join()).not.toContain("secret");
});
