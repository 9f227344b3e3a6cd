import type { IncomingHttpHeaders } from "node:http";
import type { Server as TlsServer } from "node:tls";
import { AppError } from "@sluice/core";
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from "fastify";
import { systemClock } from "./clock.ts";
import { hostAndPort } from "./grpc-server.ts";
import type { Tls } from "./tls.ts";

/** A request before its body was read. */
export interface HttpHead {
  readonly method: string;
  /** Path and query as they were sent, still encoded. */
  readonly url: string;
  /** What stands for the `:names` of the route's path, decoded. */
  readonly params: Readonly<Record<string, string>>;
  /** Of a parameter that is repeated, the first one. */
  readonly query: Readonly<Record<string, string | undefined>>;
  readonly headers: IncomingHttpHeaders;
  /** Aborts when the caller goes away before its answer. */
  readonly signal: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface HttpRoute {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** Such as `/functions/:name`. */
  readonly path: string;
  /** Decides before the body is read whether it is wanted; the function that it returns answers once it is there. */
  begin(head: HttpHead): Promise<(body: Buffer) => Promise<HttpAnswer>>;
}

export interface HttpApi {
  readonly routes: readonly HttpRoute[];
  /** Larger bodies fail with `PAYLOAD_TOO_LARGE`. */
  readonly bodyBytesMax: number;
  /** The answer to what a route throws, and to `PATH_NOT_SUPPORTED`, `PAYLOAD_TOO_LARGE` and `MALFORMED_REQUEST`. */
  failed(cause: unknown, request: Pick<HttpHead, "method" | "url">): HttpAnswer;
}

export interface HttpApiOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Default: in the clear. */
  readonly tls?: Tls | undefined;
}

/** Its end takes no request any more, and waits two seconds for those under way. */
export interface HttpApiServer extends AsyncDisposable {
  readonly port: number;
  /** `http://host:port`, or `https://`. */
  readonly url: string;
  /** Asks its callers to go elsewhere: every connection ends with its next answer. */
  leave(): void;
}

/** As gRPC has it. */
const callsMs = 2_000;
/** Head and body must be there so long after the first byte: who sends slowly does not hold a connection for ever. */
const requestMsMax = 30_000;
/** Names of functions and ids of tasks have up to 128 characters; longer ones are told what is wrong with them. */
const paramLengthMax = 1_024;

/** Serves `api` over HTTP/1.1. Rejects with `ADDRESS_UNAVAILABLE` when it cannot listen. */
export async function httpApiServer({ host, port, tls }: HttpApiOptions, api: HttpApi): Promise<HttpApiServer> {
  let isLeaving = false;
  const app = open(api, tls);
  app.addHook("onSend", async (_request, reply) => {
    if (isLeaving) reply.header("connection", "close");
  });
  const unwatch = tls?.watch(() => (app.server as unknown as TlsServer).setSecureContext(contextOf(tls)));
  const scheme = tls ? "https" : "http";
  try {
    await app.listen({ host, port });
  } catch (cause) {
    const message = `cannot listen on ${scheme}://${hostAndPort(host, port)}`;
    throw new AppError("unavailable", "ADDRESS_UNAVAILABLE", message, { cause });
  }
  const bound = app.server.address();
  const boundPort = typeof bound === "object" && bound !== null ? bound.port : port;
  return {
    port: boundPort,
    url: `${scheme}://${hostAndPort(host, boundPort)}`,
    leave() {
      isLeaving = true;
    },
    async [Symbol.asyncDispose]() {
      isLeaving = true;
      unwatch?.();
      const ended = app.close();
      const cancel = systemClock.timer(callsMs, () => app.server.closeAllConnections());
      await ended;
      cancel();
    },
  };
}

function open(api: HttpApi, tls: Tls | undefined): FastifyInstance {
  const answerTo = (cause: unknown, { method, url }: FastifyRequest) => api.failed(typed(cause, api), { method, url });
  const app: FastifyInstance = fastify({
    logger: false,
    bodyLimit: api.bodyBytesMax,
    requestTimeout: requestMsMax,
    // Idle connections must not hold up the end of the process.
    forceCloseConnections: "idle",
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: paramLengthMax },
    frameworkErrors: (cause, request, reply) => void send(reply, answerTo(cause, request)),
    ...(tls && {
      https: {
        ...contextOf(tls),
        requestCert: tls.clientAuth !== "none",
        rejectUnauthorized: tls.clientAuth === "require",
      },
    }),
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
  app.setErrorHandler((cause, request, reply) => send(reply, answerTo(cause, request)));
  app.setNotFoundHandler((request, reply) => send(reply, answerTo(notFound(request), request)));

  for (const { method, path, begin } of api.routes) {
    const answers = new WeakMap<FastifyRequest, (body: Buffer) => Promise<HttpAnswer>>();
    app.route({
      method,
      url: path,
      onRequest: async (request, reply) => void answers.set(request, await begin(headOf(request, reply))),
      async handler(request, reply) {
        const answer = answers.get(request);
        if (!answer) throw new Error("a handler was called before its hook");
        return send(reply, await answer((request.body as Buffer | undefined) ?? empty));
      },
    });
  }
  return app;
}

const empty = Buffer.alloc(0);

function headOf(request: FastifyRequest, reply: FastifyReply): HttpHead {
  const gone = new AbortController();
  // That of the request comes as soon as its body was read.
  reply.raw.once("close", () => gone.abort());
  return {
    method: request.method,
    url: request.raw.url ?? "",
    params: request.params as Record<string, string>,
    query: firstOf(request.query as Record<string, string | string[]>),
    headers: request.headers,
    signal: gone.signal,
  };
}

function firstOf(query: Readonly<Record<string, string | string[]>>): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(query).map(([name, value]) => [name, Array.isArray(value) ? value[0] : value]),
  );
}

function send(reply: FastifyReply, { status, headers, body }: HttpAnswer) {
  return reply.code(status).headers(headers).send(body);
}

function notFound({ method, url }: FastifyRequest): AppError {
  const path = url.split("?", 1)[0] ?? "";
  return new AppError("not_found", "PATH_NOT_SUPPORTED", `'${path}' against '${method}' is not supported`);
}

/** What the server below says of a request, as an error of ours. */
function typed(cause: unknown, { bodyBytesMax }: HttpApi): unknown {
  const { code, statusCode = 500, message } = cause as { code?: unknown; statusCode?: number; message: string };
  if (cause instanceof AppError || typeof code !== "string" || !code.startsWith("FST_") || statusCode >= 500) {
    return cause;
  }
  if (code === "FST_ERR_CTP_BODY_TOO_LARGE") {
    return new AppError("invalid", "PAYLOAD_TOO_LARGE", `the body has more than ${bodyBytesMax} bytes`, { cause });
  }
  return new AppError("invalid", "MALFORMED_REQUEST", message, { cause });
}

function contextOf({ files }: Tls) {
  const { ca, cert, key } = files;
  return { ca, ...(cert !== undefined && key !== undefined && { cert, key }) };
}
