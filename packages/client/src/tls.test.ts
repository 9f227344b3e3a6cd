// Over real TLS, with certificates made for the test.
import { createServer } from "node:net";
import type { TlsSource } from "@sluice/protocol";
import { type Certificate, createAuthority } from "@sluice/testbed/certificates";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ConnectOptions, connect, InvalidArgument, TlsFailed, Unavailable } from "./index.ts";
import { type FakeServer, startFakeServer } from "./testing/fake-server.ts";

const [authority, foreign] = [createAuthority(), createAuthority()];
const own = authority.issue("server");
const { ca } = authority.files();
const tlsOf = (certificate: Certificate, clientAuth: TlsSource["clientAuth"] = "none"): TlsSource => ({
  files: authority.files(certificate),
  clientAuth,
  watch: () => () => undefined,
});
let [plain, secure, strict]: FakeServer[] = [];

beforeAll(async () => {
  plain = await startFakeServer();
  secure = await startFakeServer({ tls: tlsOf(own) });
  strict = await startFakeServer({ tls: tlsOf(own, "require") });
});
afterAll(async () => {
  for (const server of [plain, secure, strict]) await server?.[Symbol.asyncDispose]();
  for (const each of [authority, foreign]) each[Symbol.dispose]();
});

/** What a call ends with; a failure that should not be tried again would run into the time-out of the test. */
async function outcome(server: FakeServer | undefined, tls?: ConnectOptions["tls"], retryTimeoutMs = 600_000) {
  await using client = connect({
    address: server?.address ?? "",
    retryTimeoutMs,
    ...(tls !== undefined && { tls }),
  });
  return client.submit({ function: "f", payload: "x" }).then(
    () => "accepted",
    (cause: unknown) => cause,
  );
}

test("with the authority of the server, and with a client certificate where it wants one, tasks are accepted", async () => {
  expect(await outcome(plain)).toBe("accepted");
  expect(await outcome(secure, { ca })).toBe("accepted");
  const mine = authority.files(authority.issue("client"));
  expect(await outcome(strict, mine)).toBe("accepted");
});

test("a client without TLS is told at once that the server wants it", async () => {
  expect(await outcome(secure)).toMatchObject({
    reason: "TLS_REQUIRED",
    message: "the server wants TLS; connect with it",
  });
  expect(await outcome(strict)).toMatchObject({ reason: "TLS_REQUIRED", code: "unavailable" });
  expect(await outcome(secure)).toBeInstanceOf(TlsFailed);
});

test.each<[string, () => FakeServer | undefined, ConnectOptions["tls"], string]>([
  ["a server without TLS", () => plain, { ca }, "TLS_NOT_SPOKEN"],
  ["a server of another authority", () => secure, foreign.files(), "CERTIFICATE_UNTRUSTED"],
  ["a server of no public authority", () => secure, true, "CERTIFICATE_UNTRUSTED"],
  ["a server that wants a client certificate", () => strict, { ca }, "CLIENT_CERTIFICATE_REFUSED"],
  [
    "a server that does not trust the client's",
    () => strict,
    { ...foreign.files(foreign.issue("client")), ca },
    "CLIENT_CERTIFICATE_REFUSED",
  ],
])("%s is not tried again, and the reason is told", async (_which, server, tls, reason) => {
  const failure = await outcome(server(), tls);
  expect(failure).toBeInstanceOf(TlsFailed);
  expect(failure).toMatchObject({ code: "unavailable", reason });
});

test("a certificate for another host, and one that expired, are refused", async () => {
  await using misnamed = await startFakeServer({
    tls: tlsOf(authority.issue("misnamed", { names: ["DNS:a.example"] })),
  });
  await using expired = await startFakeServer({ tls: tlsOf(authority.issue("expired", { days: -1 })) });
  expect(await outcome(misnamed, { ca })).toMatchObject({
    reason: "CERTIFICATE_WRONG_HOST",
    message: expect.stringContaining("127.0.0.1 is not in the cert's list"),
  });
  expect(await outcome(expired, { ca })).toMatchObject({ reason: "CERTIFICATE_EXPIRED" });
});

test("a server that just closes connections is tried again", async () => {
  const closing = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => closing.listen(0, "127.0.0.1", resolve));
  const bound = closing.address();
  const port = typeof bound === "object" ? bound?.port : undefined;
  await using client = connect({ address: `127.0.0.1:${port}`, retryTimeoutMs: 300 });
  const failure = await client.get("f", "t").catch((cause: unknown) => cause);
  closing.close();
  expect(failure).toBeInstanceOf(Unavailable);
  expect(failure).not.toBeInstanceOf(TlsFailed);
  expect(failure).toMatchObject({ reason: "CONNECTION_CLOSED" });
});

test.each<[string, ConnectOptions["tls"]]>([
  ["a certificate without its key", { ca, cert: "x" }],
  ["texts that are no certificates", { ca: "x", cert: "x", key: "x" }],
])("%s is refused before anything is sent", (_what, tls) => {
  expect(() => connect({ ...(tls !== undefined && { tls }) })).toThrow(InvalidArgument);
  expect(() => connect({ ...(tls !== undefined && { tls }) })).toThrow(/tls|TLS/);
});
