// Callers who go away at the wrong moment, send slowly, send too much, or never close.
import { get } from "node:https";
import { connect, type Socket } from "node:net";
import { memoryUsage } from "node:process";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createAuthority } from "@sluice/testbed/certificates";
import { afterAll, expect, test } from "vitest";
import type { HttpApi } from "./http-api.ts";
import { echo, everythingOf, hanging, open, serverSockets } from "./testing/echo-api.ts";

const authority = createAuthority();
afterAll(() => authority[Symbol.dispose]());

const soon = { timeout: 60_000 };
const post = async (url: string, bytes: number) =>
  (await fetch(`${url}/things/a/parts`, { method: "POST", body: "x".repeat(bytes) })).text();
const halfOf = (length: number, more = "") =>
  `POST /things/a/parts HTTP/1.1\r\nhost: x\r\n${more}content-length: ${length}\r\n\r\nhalf`;
const hang = "GET /hangs HTTP/1.1\r\nhost: x\r\n\r\n";

/** A caller who sends a text and then nothing, and closes nothing. */
function silent(port: number, text: string | Buffer): Socket {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  socket.on("error", () => undefined);
  socket.resume();
  socket.write(text);
  return socket;
}

/** Of what is not garbage. */
function bytesInUse(): number {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  const { heapUsed, external } = memoryUsage();
  return heapUsed + external;
}

/** The API, with what it was asked to word. */
function recorded(api: HttpApi = echo): HttpApi & { readonly causes: unknown[] } {
  const causes: unknown[] = [];
  const failed: HttpApi["failed"] = (cause, request) => {
    causes.push(cause);
    return api.failed(cause, request);
  };
  return { ...api, failed, causes };
}

test("who leaves before it is decided whether its body is wanted takes no room", async () => {
  let isAsked = false;
  let decide: () => void = () => undefined;
  const decided = new Promise<void>((resolve) => {
    decide = resolve;
  });
  const routes = echo.routes.map((route) => ({
    ...route,
    async begin(head: Parameters<typeof route.begin>[0]) {
      if (head.headers["x-slow"]) {
        isAsked = true;
        await decided;
      }
      return route.begin(head);
    },
  }));
  using sockets = serverSockets();
  await using server = await open({ ...echo, routes, bodiesBytesMax: 1_000 });
  const caller = silent(server.port, halfOf(1_000, "x-slow: 1\r\n"));
  await expect.poll(() => isAsked, soon).toBe(true);
  caller.destroy();
  await expect.poll(() => sockets.all.every(({ closed }) => closed), soon).toBe(true);
  decide();
  await new Promise(setImmediate);
  expect(await post(server.url, 1_000)).toContain('"body"');
});

test("who leaves with requests behind one that is not answered ends the work for all of them, and takes no room", async () => {
  await using server = await open({ ...echo, bodiesBytesMax: 1_000 });
  const before = hanging.length;
  const caller = silent(server.port, hang + hang + halfOf(1_000));
  await expect.poll(() => hanging.length, soon).toBe(before + 2);
  await expect.poll(() => post(server.url, 1), soon).toContain("SERVER_BUSY");
  caller.destroy();
  await expect.poll(() => hanging.slice(before).map(({ aborted }) => aborted), soon).toEqual([true, true]);
  await expect.poll(() => post(server.url, 1_000), soon).toContain('"body"');
});

test("one connection has only so many requests that are not answered", async () => {
  await using server = await open();
  const before = hanging.length;
  const caller = silent(server.port, hang.repeat(1_000));
  await expect.poll(() => hanging.length, soon).toBeGreaterThan(before);
  await fetch(`${server.url}/nothing`);
  expect(hanging.length - before).toBeLessThanOrEqual(32);
  caller.destroy();
});

test.each([
  ["of no request", "FOO\r\n\r\n"],
  ["of half a request", "POST /things/a/parts HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\nxFOO\r\n"],
])("the connection %s ends although its caller does not close it", async (_what, text) => {
  using sockets = serverSockets();
  await using server = await open();
  let received = "";
  silent(server.port, text).on("data", (data) => {
    received += data.toString();
  });
  await expect.poll(() => sockets.all.map(({ closed }) => closed), soon).toEqual([true]);
  expect(received).toMatch(/^HTTP\/1.1 418 [\s\S]+MALFORMED_REQUEST/);
});

test("who is told that it is unreadable hears it although it goes on sending", async () => {
  await using server = await open();
  const lots = Buffer.alloc(8_000_000, "x");
  const received = await new Promise<string>((resolve) => {
    let text = "";
    const caller = connect(server.port, "127.0.0.1", () => caller.write(lots));
    caller.on("error", () => undefined);
    caller.on("data", (data) => {
      text += data.toString();
    });
    caller.on("close", () => resolve(text));
  });
  expect(received).toMatch(/^HTTP\/1.1 418 [\s\S]+MALFORMED_REQUEST: no HTTP request/);
});

test.each([
  ["nothing", ""],
  ["half a head", "POST /things/a/parts HTTP/1.1\r\nhost: x\r\nx: "],
  ["half a body", halfOf(900)],
])("a request of which %s comes is given up, and answered and counted once", async (_what, text) => {
  const api = recorded();
  await using server = await open(api, { requestMsMax: 300 });
  expect(await everythingOf(server.port, text)).toMatch(/MALFORMED_REQUEST: the request came too slowly$/);
  await fetch(`${server.url}/nothing`);
  expect(api.causes).toMatchObject([{ reason: "MALFORMED_REQUEST" }, { reason: "PATH_NOT_SUPPORTED" }]);
});

test("a body with an error in it is answered and counted once", async () => {
  const api = recorded();
  await using server = await open(api);
  const head = "POST /things/a/parts HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
  expect(await everythingOf(server.port, `${head}FOO\r\n`)).toMatch(/MALFORMED_REQUEST: no HTTP request/);
  await fetch(`${server.url}/nothing`);
  expect(api.causes).toMatchObject([{ reason: "MALFORMED_REQUEST" }, { reason: "PATH_NOT_SUPPORTED" }]);
});

test("nobody's body is read for a path that is not there", async () => {
  await using server = await open();
  for (const more of ["", "expect: 100-continue\r\n"]) {
    const text = `POST /nothing HTTP/1.1\r\nhost: x\r\n${more}content-length: 900\r\n\r\n`;
    expect(await everythingOf(server.port, text)).toMatch(
      /^HTTP\/1.1 418 [\s\S]+connection: close[\s\S]+POST PATH_NOT_SUPPORTED/i,
    );
  }
});

test("nobody's body is read for an address that is none", async () => {
  await using server = await open();
  const text = "POST /things/%zz/parts HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 900\r\n\r\n";
  expect(await everythingOf(server.port, text)).toMatch(/^HTTP\/1.1 418 [\s\S]+connection: close[\s\S]+MALFORMED/i);
});

test("bodies take the memory that they are counted for, in however small parts they come", async () => {
  const callersCount = 8;
  const bodyBytesMax = 131_072;
  const room = callersCount * bodyBytesMax;
  await using server = await open({ ...echo, bodyBytesMax, bodiesBytesMax: room });
  const head = "POST /things/a/parts HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
  const body = Buffer.from(head + "1\r\nx\r\n".repeat(bodyBytesMax - 1));
  using sockets = serverSockets();
  const before = bytesInUse();
  const callers = Array.from({ length: callersCount }, () => silent(server.port, body));
  await expect.poll(() => sockets.all.map(({ bytesRead }) => bytesRead), soon).toEqual(callers.map(() => body.length));
  expect(await post(server.url, 1)).toContain("SERVER_BUSY");
  expect(bytesInUse() - before).toBeLessThan(20 * room);
  for (const caller of callers) caller.destroy();
});

test("who does not read its answer does not keep it for ever", async () => {
  const large = "x".repeat(50_000_000);
  const routes: HttpApi["routes"] = [
    { method: "GET", path: "/large", begin: async () => async () => ({ status: 200, headers: {}, body: large }) },
  ];
  using sockets = serverSockets();
  await using server = await open({ ...echo, routes }, { requestMsMax: 300 });
  const caller = connect(server.port, "127.0.0.1");
  caller.on("error", () => undefined);
  caller.pause();
  caller.write("GET /large HTTP/1.1\r\nhost: x\r\n\r\n");
  await expect.poll(() => sockets.all.map(({ closed }) => closed), soon).toEqual([true]);
  caller.destroy();
});

test("more connections than there may be are not taken", async () => {
  await using server = await open(echo, { connectionsMax: 2 });
  const callers = [hang, ""].map((text) => silent(server.port, text));
  await expect.poll(() => callers.every(({ readyState }) => readyState === "open"), soon).toBe(true);
  await expect(
    everythingOf(server.port, "GET /nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").catch(() => ""),
  ).resolves.toBe("");
  for (const caller of callers) caller.destroy();
  await expect.poll(() => post(server.url, 1).catch(() => "refused"), soon).toContain('"body"');
});

const tls = () => ({
  files: authority.files(authority.issue("own")),
  clientAuth: "none" as const,
  watch: () => () => undefined,
  run: async () => undefined,
});

test("a handshake that does not go on is given up", async () => {
  const api = recorded();
  using sockets = serverSockets();
  await using _server = await open(api, { tls: tls(), requestMsMax: 300 });
  silent(_server.port, "");
  await expect.poll(() => sockets.all.map(({ closed }) => closed), soon).toEqual([true]);
  expect(api.causes).toEqual([]);
});

test("the end does not wait for a handshake, nor for ever for what came after one", async () => {
  using sockets = serverSockets();
  const server = await open(echo, { tls: tls() });
  silent(server.port, "");
  const before = hanging.length;
  get(`${server.url}/hangs`, { rejectUnauthorized: false, agent: false }).on("error", () => undefined);
  await expect.poll(() => hanging.length, soon).toBe(before + 1);
  await server[Symbol.asyncDispose]();
  expect(sockets.all.map(({ destroyed }) => destroyed)).toEqual([true, true]);
  await expect.poll(() => hanging[before]?.aborted, soon).toBe(true);
});
