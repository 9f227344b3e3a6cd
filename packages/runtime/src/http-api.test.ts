import { get } from "node:https";
import { connect, type Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { AppError, type TlsFiles } from "@sluice/core";
import { createAuthority } from "@sluice/testbed/certificates";
import { afterAll, expect, test } from "vitest";
import { type HttpApi, httpApiServer } from "./http-api.ts";

const authority = createAuthority();
afterAll(() => authority[Symbol.dispose]());

/** Answers with what it was sent, and failures with their reason. */
const echo: HttpApi = {
  bodyBytesMax: 1_000,
  routes: [
    {
      method: "POST",
      path: "/things/:name/parts",
      async begin({ params, query, url, headers }) {
        if (headers["x-unwanted"]) throw new AppError("forbidden", "UNWANTED", "it is not wanted");
        return async (body) => {
          if (body.toString() === "fail") throw new Error("a bug");
          return { status: 202, headers: { "x-url": url }, body: JSON.stringify({ params, query, body: `${body}` }) };
        };
      },
    },
    {
      method: "GET",
      path: "/hangs",
      begin:
        async ({ signal }) =>
        () =>
          new Promise((_resolve, reject) => {
            hanging.push(signal);
            signal.addEventListener("abort", () => reject(new AppError("cancelled", "GONE", "it went")), {
              once: true,
            });
          }),
    },
  ],
  failed: (cause, { method }) => ({
    status: cause instanceof AppError ? 418 : 500,
    headers: { "content-type": "text/plain" },
    body: `${method} ${cause instanceof AppError ? `${cause.reason}: ${cause.message}` : "failed"}`,
  }),
};
const hanging: AbortSignal[] = [];
const open = (api = echo) => httpApiServer({ host: "127.0.0.1", port: 0 }, api);

test("a route gets names, query and body as they are meant, and the address as it was sent", async () => {
  await using server = await open();
  const path = "/things/a%20b/parts?x=1%2B&y=2&y=3";
  for (const [body, type] of [
    ["whole", undefined],
    ["{", "application/json"],
    ["", undefined],
  ] as const) {
    const headers = type ? { "content-type": type } : {};
    const answer = await fetch(server.url + path, { method: "POST", headers, body });
    expect([answer.status, answer.headers.get("x-url")]).toEqual([202, path]);
    expect(await answer.json()).toEqual({ params: { name: "a b" }, query: { x: "1+", y: "2" }, body });
  }
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

test("who is not wanted is told so before the body was sent", async () => {
  await using server = await open();
  const socket = connect(server.port, "127.0.0.1");
  socket.write("POST /things/a/parts HTTP/1.1\r\nhost: x\r\nx-unwanted: 1\r\ncontent-length: 900\r\n\r\n");
  expect(await firstOf(socket)).toContain("POST UNWANTED: it is not wanted");
  socket.destroy();
});

test("who goes away ends the work for its answer", async () => {
  await using server = await open();
  const gone = new AbortController();
  const call = fetch(`${server.url}/hangs`, { signal: gone.signal }).catch((cause: unknown) => cause);
  await expect.poll(() => hanging.length).toBe(1);
  expect(hanging[0]?.aborted).toBe(false);
  gone.abort();
  await call;
  await expect.poll(() => hanging[0]?.aborted).toBe(true);
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

/** What comes first. */
function firstOf(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    socket.once("data", (data) => resolve(data.toString()));
    socket.once("error", reject);
  });
}

test("a port that is taken is a typed error", async () => {
  await using server = await open();
  const second = httpApiServer({ host: "127.0.0.1", port: server.port }, echo);
  await expect(second).rejects.toMatchObject({ code: "unavailable", reason: "ADDRESS_UNAVAILABLE" });
});
