import { get } from "node:https";
import { connect } from "node:net";
import type { TLSSocket } from "node:tls";
import type { TlsFiles } from "@sluice/core";
import { createAuthority } from "@sluice/testbed/certificates";
import { afterAll, expect, test } from "vitest";
import { type HttpApi, httpApiServer } from "./http-api.ts";
import { echo, everythingOf, firstOf, hanging, open } from "./testing/echo-api.ts";

const authority = createAuthority();
afterAll(() => authority[Symbol.dispose]());

test("a route gets names, query and body as they are meant, and the address as it was sent", async () => {
  await using server = await open();
  const path = "/things/a%20b/parts?x=1%2B&y=2&y=3";
  for (const [body, type] of [
    ["whole", "text/plain"],
    ["{", "application/json"],
    ["odd", "no type"],
    ["", ""],
  ] as const) {
    const headers = { "content-type": type };
    const answer = await fetch(server.url + path, { method: "POST", headers, body });
    expect([answer.status, answer.headers.get("x-url")]).toEqual([202, path]);
    expect(await answer.json()).toEqual({ params: { name: "a b" }, query: { x: "1+", y: "2" }, body });
  }
});

test("a body of which the length is not said is what was sent, part by part", async () => {
  await using server = await open({ ...echo, bodyBytesMax: 20_000, bodiesBytesMax: 20_000 });
  const parts = ["x", "é".repeat(10), "y".repeat(5_000), "", "z".repeat(14_979)];
  const body = new ReadableStream({
    pull(stream) {
      const part = parts.shift();
      if (part === undefined) stream.close();
      else stream.enqueue(Buffer.from(part));
    },
  });
  const whole = parts.join("");
  const answer = await fetch(`${server.url}/things/a/parts`, { method: "POST", body, duplex: "half" });
  expect(await answer.json()).toMatchObject({ body: whole });
  expect(Buffer.byteLength(whole)).toBe(20_000);
});

test.each<[string, string, RequestInit, string]>([
  ["no route", "/nothing?x", {}, "GET PATH_NOT_SUPPORTED: '/nothing' against 'GET' is not supported"],
  [
    "another method",
    "/things/a/parts",
    { method: "PUT" },
    "PUT PATH_NOT_SUPPORTED: '/things/a/parts' against 'PUT' is",
  ],
  [
    "a large body",
    "/things/a/parts",
    { method: "POST", body: "x".repeat(1_001) },
    "POST PAYLOAD_TOO_LARGE: the body has",
  ],
  ["an address that is none", "/things/%zz/parts", { method: "POST" }, "POST MALFORMED_REQUEST: "],
  ["a long name", `/things/${"x".repeat(1_025)}/parts`, { method: "POST" }, "POST MALFORMED_REQUEST: "],
])("%s is answered by the API as well", async (_what, path, init, text) => {
  await using server = await open();
  const answer = await fetch(server.url + path, init);
  expect([answer.status, await answer.text()]).toEqual([418, expect.stringContaining(text)]);
});

test("a bug is answered by the API as well, whose word is all that the caller hears", async () => {
  await using server = await open();
  const answer = await fetch(`${server.url}/things/a/parts`, { method: "POST", body: "fail" });
  expect([answer.status, await answer.text()]).toEqual([500, "POST failed"]);
});

test("who is not wanted is told so before the body was sent, and sends no more of it", async () => {
  await using server = await open();
  const head = "POST /things/a/parts HTTP/1.1\r\nhost: x\r\nx-unwanted: 1\r\ncontent-length: 900\r\n\r\n";
  expect(await everythingOf(server.port, head)).toMatch(/connection: close[\s\S]+POST UNWANTED: it is not wanted$/i);
});

test("who waits for leave to send the body gets it if it is wanted, and nobody else", async () => {
  await using server = await open();
  const head = (more = "") =>
    `POST /things/a/parts HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n${more}content-length: 1\r\n\r\n`;
  expect(await firstOf(server.port, head())).toMatch(/^HTTP\/1.1 100 Continue\r\n/);
  expect(await everythingOf(server.port, head("x-unwanted: 1\r\n"))).toMatch(/^HTTP\/1.1 418 /);
});

test.each([
  ["a method that is none", "FOO /hangs HTTP/1.1\r\nhost: x\r\n\r\n"],
  ["no line of HTTP", "hello\r\n\r\n"],
  ["two lengths", "POST /things/a/parts HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n"],
  ["a large head", `GET /nothing HTTP/1.1\r\nhost: x\r\nx: ${"x".repeat(20_000)}\r\n\r\n`],
])("%s is answered by the API as well", async (_what, text) => {
  await using server = await open();
  expect(await everythingOf(server.port, text)).toMatch(/^HTTP\/1.1 418 [\s\S]+\? MALFORMED_REQUEST: no HTTP request/);
});

test("what is unreadable behind a request is no answer to that request", async () => {
  await using server = await open();
  const before = hanging.length;
  const received = everythingOf(server.port, "GET /hangs HTTP/1.1\r\nhost: x\r\n\r\nFOO");
  await expect.poll(() => hanging.length).toBe(before + 1);
  expect(await received).toBe("");
});

test("bodies that nobody has answered have a bound together, whatever their length turns out to be", async () => {
  await using server = await open({ ...echo, bodiesBytesMax: 1_500 });
  const half = (length: string) => {
    const socket = connect(server.port, "127.0.0.1");
    socket.write(`POST /things/a/parts HTTP/1.1\r\nhost: x\r\n${length}\r\n\r\n`);
    return socket;
  };
  const post = async (bytes: number) =>
    (await fetch(`${server.url}/things/a/parts`, { method: "POST", body: "x".repeat(bytes) })).text();
  const chunked = half("transfer-encoding: chunked");
  await expect.poll(() => post(501)).toContain("SERVER_BUSY");
  const short = half("content-length: 400");
  await expect.poll(() => post(101)).toContain("SERVER_BUSY");
  expect(await post(1)).toContain('"body":"x"');
  chunked.destroy();
  short.destroy();
  await expect.poll(() => post(1_000)).toContain('"body"');
});

test("a request without a host, or with an expectation that nobody knows, is a request", async () => {
  await using server = await open();
  for (const header of ["", "expect: more\r\nhost: x\r\n"]) {
    const text = `GET /nothing HTTP/1.1\r\n${header}connection: close\r\n\r\n`;
    expect(await everythingOf(server.port, text)).toContain("GET PATH_NOT_SUPPORTED");
  }
});

test("who goes away before the body was there is no failure of ours", async () => {
  const causes: unknown[] = [];
  const failed: HttpApi["failed"] = (cause, request) => {
    causes.push(cause);
    return echo.failed(cause, request);
  };
  await using server = await open({ ...echo, failed });
  const socket = connect(server.port, "127.0.0.1");
  socket.write("POST /things/a/parts HTTP/1.1\r\nhost: x\r\ncontent-length: 900\r\n\r\nhalf", () => socket.destroy());
  await expect.poll(() => causes).toMatchObject([{ code: "cancelled", reason: "CALLER_GONE" }]);
});

test("who goes away ends the work for its answer", async () => {
  await using server = await open();
  const gone = new AbortController();
  const before = hanging.length;
  const call = fetch(`${server.url}/hangs`, { signal: gone.signal }).catch((cause: unknown) => cause);
  await expect.poll(() => hanging.length).toBe(before + 1);
  expect(hanging[before]?.aborted).toBe(false);
  gone.abort();
  await call;
  await expect.poll(() => hanging[before]?.aborted).toBe(true);
});

test("a connection is kept for the next request, also after one that was refused", async () => {
  await using server = await open();
  const kept = async (path: string, init: RequestInit) =>
    (await fetch(server.url + path, init)).headers.get("connection");
  expect(await kept("/nothing", {})).toBe("keep-alive");
  expect(await kept("/things/a/parts", { method: "POST", body: "x" })).toBe("keep-alive");
});

test("a server that leaves ends each connection with its answer", async () => {
  await using server = await open();
  const post = () => fetch(`${server.url}/things/a/parts`, { method: "POST", body: "x" });
  expect((await post()).headers.get("connection")).toBe("keep-alive");
  server.leave();
  expect((await post()).headers.get("connection")).toBe("close");
});

test("its end waits for what is under way, and takes nothing new", async () => {
  let release: () => void = () => undefined;
  let isBegun = false;
  const slow: HttpApi = {
    ...echo,
    routes: [
      {
        method: "GET",
        path: "/slow",
        begin: async () => async () => {
          isBegun = true;
          await new Promise<void>((resolve) => {
            release = resolve;
          });
          return { status: 200, headers: {}, body: "done" };
        },
      },
    ],
  };
  const server = await open(slow);
  const call = fetch(`${server.url}/slow`);
  await expect.poll(() => isBegun).toBe(true);
  const ended = server[Symbol.asyncDispose]();
  release();
  expect(await (await call).text()).toBe("done");
  await ended;
  await expect(fetch(`${server.url}/slow`)).rejects.toThrow();
});

test("its end does not wait for ever", async () => {
  const server = await open();
  const before = hanging.length;
  const call = fetch(`${server.url}/hangs`).catch((cause: unknown) => cause);
  await expect.poll(() => hanging.length).toBe(before + 1);
  await server[Symbol.asyncDispose]();
  expect(await call).toBeInstanceOf(Error);
});

test("with TLS it shows its certificate, the new one after a change, and asks for one if it must", async () => {
  const [own, other, client] = ["own", "other", "client"].map((name) => authority.issue(name));
  let changed: () => void = () => undefined;
  const tls = {
    files: authority.files(own),
    clientAuth: "require" as const,
    watch(listener: () => void) {
      changed = listener;
      return () => undefined;
    },
    run: async () => undefined,
  };
  await using server = await httpApiServer({ host: "127.0.0.1", port: 0, tls }, echo);
  expect(server.url).toBe(`https://127.0.0.1:${server.port}`);
  expect(await peerOf(server.url, authority.files(client))).toBe("own");
  await expect(peerOf(server.url, authority.files())).rejects.toThrow(/certificate required|ECONNRESET|socket hang up/);
  tls.files = authority.files(other);
  changed();
  expect(await peerOf(server.url, authority.files(client))).toBe("other");
});

/** The name on the certificate of a server. */
function peerOf(url: string, files: TlsFiles): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get(`${url}/nothing`, { ...files, agent: false }, (response) => {
      resolve((response.socket as TLSSocket).getPeerCertificate().subject.CN?.toString() ?? "");
      response.resume();
    });
    request.on("error", reject);
  });
}

test("a port that is taken is a typed error", async () => {
  await using server = await open();
  const second = httpApiServer({ host: "127.0.0.1", port: server.port }, echo);
  await expect(second).rejects.toMatchObject({ code: "unavailable", reason: "ADDRESS_UNAVAILABLE" });
});
