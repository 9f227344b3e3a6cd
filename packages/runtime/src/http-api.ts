import { type IncomingHttpHeaders, type IncomingMessage, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { Server as TlsServer } from "node:tls";
import { AppError } from "@sluice/core";
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from "fastify";
import { systemClock } from "./clock.ts";
import { type Bodies, bodyBytesOf, createBodies, readBody } from "./http-api-body.ts";
import { type Connections, watchConnections } from "./http-api-connections.ts";
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
   * The answer to what a route throws, and to `PATH_NOT_SUPPORTED`, `PAYLOAD_TOO_LARGE`, `SERVER_BUSY`, `MALFORMED_REQUEST` and
   * `CALLER_GONE`, which nobody hears; once for each request. The request is unknown where its head could not be read.
   */
  failed(cause: unknown, request?: Pick<HttpHead, "method" | "url">): HttpAnswer;
}

export interface HttpApiOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Default: in the clear. */
  readonly tls?: Tls | undefined;
  /**
   * Head and body must be there so long after the connection was, or after the first byte if it was used before: who sends slowly does
   * not hold a connection for ever. Nor does who reads slowly: it ends when nothing moves for twice as long. Default: 30 s.
   */
  readonly requestMsMax?: number;
  /** More are closed at once. Default: 10,000, which take 220 MB with heads that do not end. */
  readonly connectionsMax?: number;
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
/** Of one connection, that are not answered; nobody known sends requests before the answers to earlier ones. */
const requestsMax = 32;
/** What still comes from who was unreadable is dropped for so long: to close at once could take the answer from it. */
const lingerMs = 1_000;
/** Names of functions and ids of tasks have up to 128 characters; longer ones are told what is wrong with them. */
const paramLengthMax = 1_024;

/** Serves `api` over HTTP/1.1. Rejects with `ADDRESS_UNAVAILABLE` when it cannot listen. */
export async function httpApiServer(options: HttpApiOptions, api: HttpApi): Promise<HttpApiServer> {
  const { host, port, tls } = options;
  let isLeaving = false;
  const { app, connections } = open(api, options);
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
      const cancel = systemClock.timer(callsMs, () => connections.destroy());
      await ended;
      cancel();
    },
  };
}

interface Opened {
  readonly app: FastifyInstance;
  readonly connections: Connections;
}

function open(api: HttpApi, { tls, requestMsMax = 30_000, connectionsMax = 10_000 }: HttpApiOptions): Opened {
  const told = new WeakSet<IncomingMessage>();
  function fail(cause: unknown, request: FastifyRequest, reply: FastifyReply) {
    if (told.has(request.raw)) return void reply.hijack();
    return send(reply, api.failed(typed(cause), request));
  }
  const ofServer = {
    requireHostHeader: false,
    // Both: a request has the longer one of the two, and the second is a minute unless it is said here.
    requestTimeout: requestMsMax,
    headersTimeout: requestMsMax,
    connectionsCheckingInterval: requestMsMax / 6,
  };
  const app: FastifyInstance = fastify({
    logger: false,
    requestTimeout: requestMsMax,
    connectionTimeout: 2 * requestMsMax,
    // Idle connections must not hold up the end of the process.
    forceCloseConnections: "idle",
    return503OnClosing: false,
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: paramLengthMax },
    frameworkErrors: fail,
    clientErrorHandler: (cause, socket) => unreadable(cause, socket),
    ...(tls
      ? {
          https: {
            ...ofServer,
            ...contextOf(tls),
            handshakeTimeout: requestMsMax,
            requestCert: tls.clientAuth !== "none",
            rejectUnauthorized: tls.clientAuth === "require",
          },
        }
      : { http: ofServer }),
  });
  app.server.maxConnections = connectionsMax;
  const connections = watchConnections(app.server);
  const unreadable = createUnreadable({ api, connections, told });
  // Whoever waits for leave to send the body is given it by the route, not before.
  for (const event of ["checkContinue", "checkExpectation"]) {
    app.server.on(event, (request, response) => app.server.emit("request", request, response));
  }
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", (_request: FastifyRequest, body: IncomingMessage) => readBody(body, api.bodyBytesMax));
  app.setErrorHandler(fail);
  app.addHook("onRequest", async (request) => {
    // Not by a handler: it would be called once the body was read.
    if (request.is404) throw notFound(request);
    if (connections.openOn(request.raw.socket).size > requestsMax) throw tooMany();
  });
  const bodies = createBodies(api.bodyBytesMax, api.bodiesBytesMax);
  for (const route of api.routes) addRoute(app, route, { bodies, connections });
  return { app, connections };
}

interface RouteDeps {
  readonly bodies: Bodies;
  readonly connections: Connections;
}

function addRoute(app: FastifyInstance, { method, path, begin }: HttpRoute, { bodies, connections }: RouteDeps): void {
  const answers = new WeakMap<FastifyRequest, (body: Buffer) => Promise<HttpAnswer>>();
  app.route({
    method,
    url: path,
    async onRequest(request, reply) {
      const gone = new AbortController();
      connections.onceOver(request.raw, () => {
        if (!reply.raw.writableFinished) gone.abort();
      });
      answers.set(request, await begin(headOf(request, gone.signal)));
      connections.onceOver(request.raw, bodies.admit(request.headers));
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

interface UnreadableDeps {
  readonly api: HttpApi;
  readonly connections: Connections;
  /** Requests that were answered here; they have no other answer. */
  readonly told: WeakSet<IncomingMessage>;
}

/** Answers what never became a whole request: the API words the answer all the same. */
function createUnreadable({ api, connections, told }: UnreadableDeps) {
  const lingering = new WeakSet<Socket>();
  return (cause: Error & { readonly code?: string }, socket: Socket): void => {
    // Each piece that still comes is unreadable again.
    if (lingering.has(socket)) return;
    const isSlow = cause.code === "ERR_HTTP_REQUEST_TIMEOUT";
    // Anything else came from the connection itself, or from its encryption; so does that its caller went away.
    const isOfHttp = isSlow || (cause.code?.startsWith("HPE_") && cause.code !== "HPE_INVALID_EOF_STATE");
    const [request, ...others] = connections.openOn(socket).keys();
    // It would be taken for the answer to a request that came before.
    const isOfAnother = others.length > 0 || request?.complete === true;
    if (!isOfHttp || isOfAnother || !socket.writable) return void socket.destroy();
    if (request) told.add(request);
    const message = isSlow ? "the request came too slowly" : `no HTTP request: ${cause.message}`;
    const { status, headers, body } = api.failed(new AppError("invalid", "MALFORMED_REQUEST", message, { cause }));
    const all = { ...headers, "content-length": Buffer.byteLength(body), connection: "close" };
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    lingering.add(socket);
    socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${lines.join("")}\r\n${body}`);
    // The caller may keep its side open.
    socket.once(
      "close",
      systemClock.timer(lingerMs, () => socket.destroy()),
    );
  };
}

const empty = Buffer.alloc(0);

function headOf(request: FastifyRequest, signal: AbortSignal): HttpHead {
  return {
    method: request.method,
    url: request.raw.url ?? "",
    params: request.params as Record<string, string>,
    query: firstOf(request.query as Record<string, string | string[]>),
    headers: request.headers,
    signal,
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

function tooMany(): AppError {
  const message = "too many requests at once on one connection; wait for answers";
  return new AppError("exhausted", "SERVER_BUSY", message, { retryAfterMs: 1_000 });
}

/** What the server below says of a request, as an error of ours. */
function typed(cause: unknown): unknown {
  if (cause instanceof AppError) return cause;
  const { code, statusCode = 500, message } = cause as { code?: unknown; statusCode?: number; message: string };
  if (typeof code !== "string" || !code.startsWith("FST_") || statusCode >= 500) return cause;
  return new AppError("invalid", "MALFORMED_REQUEST", message, { cause });
}

function contextOf({ files }: Tls) {
  const { ca, cert, key } = files;
  return { ca, ...(cert !== undefined && key !== undefined && { cert, key }) };
}
