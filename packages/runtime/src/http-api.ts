import { type IncomingHttpHeaders, type IncomingMessage, type ServerResponse, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { Server as TlsServer } from "node:tls";
import { AppError } from "@sluice/core";
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from "fastify";
import { systemClock } from "./clock.ts";
import { listen } from "./listen.ts";
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
  readonly method: "GET" | "POST" | "PUT";
  /** Such as `/functions/:name`. */
  readonly path: string;
  /** Decides before the body is read whether it is wanted; the function that it returns answers once it is there. */
  begin(head: HttpHead): Promise<(body: Buffer) => Promise<HttpAnswer>>;
}

export interface HttpApi {
  readonly routes: readonly HttpRoute[];
  /** Larger bodies fail with `PAYLOAD_TOO_LARGE`. */
  readonly bodyBytesMax: number;
  /** Of all requests that are not answered yet, those of unknown length counted as the longest; more fail with `SERVER_BUSY`. */
  readonly bodiesBytesMax: number;
  /**
   * The answer to what a route throws, and to `PATH_NOT_SUPPORTED`, `PAYLOAD_TOO_LARGE`, `MALFORMED_REQUEST` and `CALLER_GONE`, which
   * nobody hears. The request is unknown where its head could not be read.
   */
  failed(cause: unknown, request?: Pick<HttpHead, "method" | "url">): HttpAnswer;
}

export interface HttpApiOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Default: in the clear. */
  readonly tls?: Tls | undefined;
}

/** Its end takes no connection any more, and waits two seconds for those under way. */
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
const checkEveryMs = 5_000;
/** Names of functions and ids of tasks have up to 128 characters; longer ones are told what is wrong with them. */
const paramLengthMax = 1_024;

/** Serves `api` over HTTP/1.1. Rejects with `ADDRESS_UNAVAILABLE` when it cannot listen. */
export async function httpApiServer({ host, port, tls }: HttpApiOptions, api: HttpApi): Promise<HttpApiServer> {
  let isLeaving = false;
  const app = open(api, tls);
  app.addHook("onSend", async (request, reply) => {
    // Who is refused in the middle of its body would go on sending it.
    const isUnread = bodyBytesOf(request.headers) !== 0 && !request.raw.complete;
    if (isLeaving || isUnread) reply.header("connection", "close");
  });
  const unwatch = tls?.watch(() => (app.server as unknown as TlsServer).setSecureContext(contextOf(tls)));
  const bound = await listen(app, { scheme: tls ? "https" : "http", host, port });
  return {
    ...bound,
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
  const answerTo = (cause: unknown, request: FastifyRequest) => api.failed(typed(cause, request, api), request);
  const ofServer = { requireHostHeader: false, connectionsCheckingInterval: checkEveryMs };
  const app: FastifyInstance = fastify({
    logger: false,
    bodyLimit: api.bodyBytesMax,
    requestTimeout: requestMsMax,
    // Idle connections must not hold up the end of the process.
    forceCloseConnections: "idle",
    return503OnClosing: false,
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: paramLengthMax },
    frameworkErrors: (cause, request, reply) => void send(reply, answerTo(cause, request)),
    clientErrorHandler: (cause, socket) => answerUnreadable(api, pending.get(socket) ?? [], cause, socket),
    ...(tls
      ? {
          https: {
            ...ofServer,
            ...contextOf(tls),
            requestCert: tls.clientAuth !== "none",
            rejectUnauthorized: tls.clientAuth === "require",
          },
        }
      : { http: ofServer }),
  });
  const pending = watchPending(app.server);
  // Whoever waits for leave to send the body is given it by the route, not before.
  for (const event of ["checkContinue", "checkExpectation"]) {
    app.server.on(event, (request, response) => app.server.emit("request", request, response));
  }
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
  app.setErrorHandler((cause, request, reply) => send(reply, answerTo(cause, request)));
  app.setNotFoundHandler((request, reply) => send(reply, answerTo(notFound(request), request)));
  const bodies = createBodies(api);
  for (const route of api.routes) addRoute(app, route, bodies);
  return app;
}

function addRoute(app: FastifyInstance, { method, path, begin }: HttpRoute, bodies: Bodies): void {
  const answers = new WeakMap<FastifyRequest, (body: Buffer) => Promise<HttpAnswer>>();
  app.route({
    method,
    url: path,
    async onRequest(request, reply) {
      answers.set(request, await begin(headOf(request, reply)));
      bodies.admit(request, reply);
      if (request.headers.expect?.toLowerCase() === "100-continue") reply.raw.writeContinue();
      // The body is bytes whatever it is called, also if that is no name of a type.
      delete request.raw.headers["content-type"];
    },
    async handler(request, reply) {
      const answer = answers.get(request);
      if (!answer) throw new Error("a handler was called before its hook");
      return send(reply, await answer((request.body as Buffer | undefined) ?? empty));
    },
  });
}

interface Bodies {
  /** Counts the body of a request until its answer is sent. Throws `SERVER_BUSY`. */
  admit(request: FastifyRequest, reply: FastifyReply): void;
}

function createBodies({ bodyBytesMax, bodiesBytesMax }: HttpApi): Bodies {
  let bytes = 0;
  return {
    admit({ headers }, reply) {
      const taken = Math.min(bodyBytesOf(headers) ?? bodyBytesMax, bodyBytesMax);
      if (bytes + taken > bodiesBytesMax) {
        const message = "the server reads as many bodies of requests as it has room for; try again later";
        throw new AppError("exhausted", "SERVER_BUSY", message, { retryAfterMs: 1_000 });
      }
      bytes += taken;
      reply.raw.once("close", () => {
        bytes -= taken;
      });
    },
  };
}

/** Undefined: the sender does not say before. */
function bodyBytesOf(headers: IncomingHttpHeaders): number | undefined {
  return headers["transfer-encoding"] === undefined ? Number(headers["content-length"] ?? 0) : undefined;
}

/** Requests of each connection that are not answered yet. */
type Pending = WeakMap<Socket, Set<IncomingMessage>>;

function watchPending(server: FastifyInstance["server"]): Pending {
  const pending: Pending = new WeakMap();
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    const ofConnection = pending.get(request.socket) ?? new Set();
    pending.set(request.socket, ofConnection.add(request));
    response.once("close", () => ofConnection.delete(request));
  });
  return pending;
}

/** What never became a request: the API words the answer all the same. */
function answerUnreadable(
  api: HttpApi,
  pending: Iterable<IncomingMessage>,
  cause: Error & { readonly code?: string },
  socket: Socket,
): void {
  const isGone = cause.code === "ECONNRESET" || cause.code === "HPE_INVALID_EOF_STATE";
  const [request, ...others] = pending;
  // It would be taken for the answer to a request that came before.
  const isOfAnother = others.length > 0 || request?.complete === true;
  if (isGone || isOfAnother || !socket.writable) return void socket.destroy();
  const message =
    cause.code === "ERR_HTTP_REQUEST_TIMEOUT" ? "the request came too slowly" : `no HTTP request: ${cause.message}`;
  const { status, headers, body } = api.failed(new AppError("invalid", "MALFORMED_REQUEST", message, { cause }));
  const all = { ...headers, "content-length": Buffer.byteLength(body), connection: "close" };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${lines.join("")}\r\n${body}`);
}

const empty = Buffer.alloc(0);

function headOf(request: FastifyRequest, reply: FastifyReply): HttpHead {
  const gone = new AbortController();
  // That of the request comes as soon as its body was read.
  reply.raw.once("close", () => {
    if (!reply.raw.writableFinished) gone.abort();
  });
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
function typed(cause: unknown, { raw }: FastifyRequest, { bodyBytesMax }: HttpApi): unknown {
  if (cause instanceof AppError) return cause;
  if (raw.destroyed && !raw.complete) {
    return new AppError("cancelled", "CALLER_GONE", "the caller went away before its body was there", { cause });
  }
  const { code, statusCode = 500, message } = cause as { code?: unknown; statusCode?: number; message: string };
  if (typeof code !== "string" || !code.startsWith("FST_") || statusCode >= 500) return cause;
  if (code === "FST_ERR_CTP_BODY_TOO_LARGE") {
    return new AppError("invalid", "PAYLOAD_TOO_LARGE", `the body has more than ${bodyBytesMax} bytes`, { cause });
  }
  return new AppError("invalid", "MALFORMED_REQUEST", message, { cause });
}

function contextOf({ files }: Tls) {
  const { ca, cert, key } = files;
  return { ca, ...(cert !== undefined && key !== undefined && { cert, key }) };
}
