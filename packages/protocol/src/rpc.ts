// The one wrapper around grpc-js: a service is an `Api`, which the handlers implement in process and a client implements
// over gRPC. The simulation puts a faulty network between the two.
import { once, setMaxListeners } from "node:events";
import {
  type ChannelCredentials,
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  logVerbosity,
  Metadata,
  type Server,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type ServiceError,
  type sendUnaryData,
  setLogVerbosity,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import type { AccountId } from "@sluice/core";
import { fromServiceError, tooLarge, toServiceError, undecodable } from "./errors.ts";
import { type Identity, identitiesOf } from "./identity.ts";

interface Method {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  requestSerialize(value: never): Buffer;
  requestDeserialize(bytes: Buffer): unknown;
  responseSerialize(value: never): Buffer;
  responseDeserialize(bytes: Buffer): unknown;
}
export type Definition = Readonly<Record<string, Method>>;
type Request<M extends Method> = ReturnType<M["requestDeserialize"]>;
type Response<M extends Method> = ReturnType<M["responseDeserialize"]>;

export interface CallContext {
  /** Aborts when the caller gives up. */
  readonly signal: AbortSignal;
  /** Request metadata with lower-case names, such as `authorization`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** For handlers: whose call it is, if whoever took it has found that out; never from the wire. */
  readonly accountId?: AccountId;
  /** For handlers: which services the caller's certificate names. None without a certificate, and none in process. */
  readonly identities?: () => readonly Identity[];
  /** For clients: fail with `DEADLINE_EXCEEDED` after so long. Unary calls have a default. */
  readonly timeoutMs?: number;
}

/** A service as callers and handlers see it: promises for unary calls, async iterables for streams. */
export type Api<D> = {
  readonly [K in keyof D]: D[K] extends Method
    ? (
        input: D[K]["requestStream"] extends true ? AsyncIterable<Request<D[K]>> : Request<D[K]>,
        context: CallContext,
      ) => D[K]["responseStream"] extends true ? AsyncIterable<Response<D[K]>> : Promise<Response<D[K]>>
    : never;
};
type AnyHandler = (input: unknown, context: CallContext) => Promise<unknown> & AsyncIterable<unknown>;
type AnyCall = ServerUnaryCall<unknown, unknown> &
  ServerWritableStream<unknown, unknown> &
  ServerDuplexStream<unknown, unknown>;

/** gRPC's usual limit; raised per method with `AddApiOptions.messageBytesMax`. */
export const messageBytesMax = 4 * 1024 * 1024;
/** What a server and a client accept at the transport; methods are limited one by one below it. */
const transportBytesMax = 64 * 1024 * 1024;

/** Options that every server of Sluice is created with. */
export const serverOptions = {
  "grpc.max_receive_message_length": transportBytesMax,
  "grpc.max_send_message_length": transportBytesMax,
  // A half-open link is otherwise not noticed for minutes.
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 3_000,
};
const clientOptions = {
  ...serverOptions,
  "grpc.keepalive_permit_without_calls": 1,
  // The defaults wait up to 120 s after an outage.
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 2_000,
  // Retries are ours: they carry the submission token or the attempt.
  "grpc.enable_retries": 0,
  // The proxy of the environment is for the web, not for services beside this one.
  "grpc.enable_http_proxy": 0,
};

/** Keeps grpc-js from writing lines of its own to standard error; failures reach the caller as errors. For `main.ts`. */
export function silenceTransport(): void {
  setLogVerbosity(logVerbosity.NONE);
}

export interface AddApiOptions {
  /** Limit of one request message per method, in bytes; default 4 MiB. */
  readonly messageBytesMax?: Readonly<Record<string, number>>;
}

/** Serves `api` on a gRPC server. Failures reach the caller as statuses with details (`errors.ts`). */
export function addApi<D extends Definition>(
  server: Server,
  definition: D,
  api: Api<D>,
  options: AddApiOptions = {},
): void {
  const limited: Record<string, Method> = {};
  const implementation: Record<string, (call: AnyCall, done?: sendUnaryData<unknown>) => void> = {};
  for (const [name, method] of Object.entries(definition)) {
    limited[name] = withLimit(method, options.messageBytesMax?.[name] ?? messageBytesMax);
    const handler = (api as Record<string, unknown>)[name] as AnyHandler;
    implementation[name] = (call, done) => void serve(method, handler.bind(api), call, done);
  }
  server.addService(limited as unknown as ServiceDefinition, implementation as unknown as UntypedServiceImplementation);
}

/**
 * A message that is too large or cannot be decoded fails its call with a typed error. Decoding a large one first would cost
 * what the limit is to save; and the transport would answer INTERNAL to one that cannot be decoded, as if it were our fault.
 */
function withLimit(method: Method, bytesMax: number): Method {
  return {
    ...method,
    requestDeserialize(bytes: Buffer) {
      if (bytes.length > bytesMax) return new Refused(tooLarge(bytes.length, bytesMax));
      try {
        return method.requestDeserialize(bytes);
      } catch (cause) {
        return new Refused(undecodable(cause));
      }
    },
  };
}
class Refused {
  readonly error: Error;
  constructor(error: Error) {
    this.error = error;
  }
}
function checked<T>(message: T): T {
  if (message instanceof Refused) throw message.error;
  return message;
}
async function* checkedAll(messages: AsyncIterable<unknown>, signal: AbortSignal): AsyncIterable<unknown> {
  try {
    for await (const message of messages) yield checked(message);
  } catch (cause) {
    // A caller that went away ends its stream; the handler sees the aborted signal.
    if (!signal.aborted) throw cause;
  }
}

async function serve(method: Method, handler: AnyHandler, call: AnyCall, done?: sendUnaryData<unknown>): Promise<void> {
  const controller = new AbortController();
  call.on("cancelled", () => controller.abort(new DOMException("the caller cancelled", "AbortError")));
  // Without a listener a broken connection would stop the process.
  call.on("error", (cause: Error) => controller.abort(cause));
  const context: CallContext = {
    signal: controller.signal,
    headers: headersOf(call.metadata),
    // The transport hands out only certificates that it verified.
    identities: () => identitiesOf(call.getAuthContext().sslPeerCertificate?.subjectaltname),
  };
  try {
    // `for await` on a duplex destroys it when the readable half ends, taking unsent responses with it.
    const input = method.requestStream
      ? checkedAll(call.iterator({ destroyOnReturn: false }), controller.signal)
      : checked(call.request);
    if (method.responseStream) {
      await pump(handler(input, context), call, context.signal);
      call.end();
    } else {
      done?.(null, (await handler(input, context)) as never);
    }
  } catch (cause) {
    const error = toServiceError(cause);
    if (done) done(error);
    // Destroying the stream would end it without a status, and the caller would wait for ever.
    else call.emit("error", error);
  } finally {
    controller.abort(new DOMException("the call ended", "AbortError"));
  }
}

function headersOf(metadata: Metadata): Record<string, string> {
  return Object.fromEntries(
    Object.entries(metadata.getMap()).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
}

async function pump(
  source: AsyncIterable<unknown>,
  sink: { write(value: unknown): boolean },
  signal: AbortSignal,
): Promise<void> {
  for await (const value of source) {
    if (signal.aborted) return;
    if (!sink.write(value)) await once(sink as unknown as NodeJS.EventEmitter, "drain", { signal });
  }
}

export interface ApiClient<D> {
  readonly api: Api<D>;
  close(): void;
}

export interface ApiClientOptions {
  readonly channelCredentials?: ChannelCredentials;
  /** Sent with every call. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Of unary calls without their own; default 30 s. */
  readonly timeoutMs?: number;
}

/** Calls a service at `address` (host:port). Failures are `AppError`s; a stream that its own signal aborted just ends. */
export function apiClient<D extends Definition>(
  definition: D,
  address: string,
  options: ApiClientOptions = {},
): ApiClient<D> {
  const client = new Client(address, options.channelCredentials ?? credentials.createInsecure(), clientOptions);
  const api: Record<string, unknown> = {};
  for (const [name, method] of Object.entries(definition)) {
    api[name] = (input: never, context: CallContext) => invoke(client, method, input, context, options);
  }
  return { api: api as unknown as Api<D>, close: () => client.close() };
}

function invoke(
  client: Client,
  method: Method,
  input: never,
  context: CallContext,
  options: ApiClientOptions,
): unknown {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries({ ...options.headers, ...context.headers })) metadata.set(name, value);
  const codec = [method.path, method.requestSerialize, method.responseDeserialize] as [
    string,
    (value: never) => Buffer,
    (bytes: Buffer) => unknown,
  ];
  const timeoutMs =
    context.timeoutMs ?? (method.responseStream || method.requestStream ? undefined : (options.timeoutMs ?? 30_000));
  const callOptions = timeoutMs === undefined ? {} : { deadline: performanceDeadline(timeoutMs) };
  if (!method.responseStream && !method.requestStream) {
    return new Promise((resolve, reject) => {
      const call = client.makeUnaryRequest(...codec, input, metadata, callOptions, (error, value) =>
        error ? reject(fromServiceError(error)) : resolve(value),
      );
      cancelWith(call, context.signal);
    });
  }
  const call = method.requestStream
    ? client.makeBidiStreamRequest(...codec, metadata, callOptions)
    : client.makeServerStreamRequest(...codec, input, metadata, callOptions);
  cancelWith(call, context.signal);
  if (method.requestStream)
    void send(input as AsyncIterable<never>, call as ClientDuplexStream<never, unknown>, context.signal);
  return responses(call as ClientReadableStream<unknown>, context.signal);
}

/** The transport's deadline is a wall time by its API; nothing else here reads the clock. */
function performanceDeadline(timeoutMs: number): Date {
  return new Date(Date.now() + Math.min(timeoutMs, 2 ** 31 - 1));
}

async function send(
  input: AsyncIterable<never>,
  call: ClientDuplexStream<never, unknown>,
  signal: AbortSignal,
): Promise<void> {
  try {
    await pump(input, call, signal);
    call.end();
  } catch {
    // The reading side sees the failure of the call, or the caller's own abort.
    call.cancel();
  }
}

async function* responses(call: ClientReadableStream<unknown>, signal: AbortSignal): AsyncIterable<unknown> {
  try {
    for await (const message of call) yield message;
  } catch (cause) {
    if (!signal.aborted) throw fromServiceError(cause as ServiceError);
  } finally {
    call.cancel();
  }
}

function cancelWith(
  call: { cancel(): void; on(event: "status" | "error", listener: () => void): unknown },
  signal: AbortSignal,
): void {
  const cancel = () => call.cancel();
  // One signal may end any number of calls.
  setMaxListeners(0, signal);
  if (signal.aborted) cancel();
  else signal.addEventListener("abort", cancel, { once: true });
  call.on("status", () => signal.removeEventListener("abort", cancel));
  call.on("error", () => {});
}
