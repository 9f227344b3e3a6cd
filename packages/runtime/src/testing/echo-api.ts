// A small API, and callers who speak to it byte by byte.
import { channel } from "node:diagnostics_channel";
import { connect, type Socket } from "node:net";
import { AppError } from "@sluice/core";
import { type HttpApi, type HttpApiOptions, httpApiServer } from "../http-api.ts";

/** Answers with what it was sent, and failures with their reason. */
export const echo: HttpApi = {
  bodyBytesMax: 1_000,
  bodiesBytesMax: 10_000,
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
  failed: (cause, { method } = { method: "?", url: "" }) => ({
    status: cause instanceof AppError ? 418 : 500,
    headers: { "content-type": "text/plain" },
    body: `${method} ${cause instanceof AppError ? `${cause.reason}: ${cause.message}` : "failed"}`,
  }),
};
/** Of the requests for `/hangs`, in their order. */
export const hanging: AbortSignal[] = [];
export const open = (api = echo, options: Partial<HttpApiOptions> = {}) =>
  httpApiServer({ host: "127.0.0.1", port: 0, ...options }, api);

/** What comes first for a text. */
export function firstOf(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(text));
    socket.once("data", (data) => {
      resolve(data.toString());
      socket.destroy();
    });
    socket.once("error", reject);
  });
}

/** All that comes for a text until the server ends the connection. */
export function everythingOf(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let received = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(text));
    socket.on("data", (data) => {
      received += data.toString();
    });
    socket.once("close", () => resolve(received));
    socket.once("error", reject);
  });
}

/** The ends of connections on the side of the servers in this process. */
export function serverSockets(): Disposable & { readonly all: readonly Socket[] } {
  const all: Socket[] = [];
  const accepted = channel("net.server.socket");
  const see = (message: unknown) => void all.push((message as { readonly socket: Socket }).socket);
  accepted.subscribe(see);
  return { all, [Symbol.dispose]: () => void accepted.unsubscribe(see) };
}
