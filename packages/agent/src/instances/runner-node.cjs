"use strict";
// Runs the handlers of one Node instance. Plain CommonJS without dependencies: it must start fast and on Node 18.
// Frames (see frames.ts) come in on fd 3 and leave on fd 4, so that what a handler prints can never be taken for a result.
const { AsyncLocalStorage } = require("node:async_hooks");
const { writeSync } = require("node:fs");
const net = require("node:net");
const { format } = require("node:util");
const { describeError, failureOf } = require("./runner-node/errors.cjs");
const { loadFunction } = require("./runner-node/load.cjs");

const INITIALIZE = 1,
  INVOKE = 2,
  CANCEL = 3,
  PRE_STOP = 4;
const LOADED = 1,
  READY = 2,
  START_FAILED = 3,
  RESULT = 4,
  FAILED = 5,
  LOG = 6,
  PROGRESS = 7,
  CANCEL_SEEN = 8,
  PRE_STOP_DONE = 9;
const empty = Buffer.alloc(0);

/** Requests in flight, by number. */
const requests = new Map();
const current = new AsyncLocalStorage();
let settings, handler, preStop;

// ---- Frames ----

let pending = [];

/** Collects the frames of one turn of the event loop, so that many results cost one system call. */
function send(type, request, body) {
  const head = Buffer.allocUnsafe(9);
  head.writeUInt32BE(5 + body.length, 0);
  head.writeUInt8(type, 4);
  head.writeUInt32BE(request, 5);
  pending.push(head, body);
  if (pending.length === 2) setImmediate(flush);
}

function flush() {
  if (pending.length === 0) return;
  const bytes = Buffer.concat(pending);
  pending = [];
  // fd 4 blocks: an agent that does not read slows us down instead of filling our memory.
  for (let offset = 0; offset < bytes.length; ) offset += writeSync(4, bytes, offset);
}

const sendJson = (type, request, value) => send(type, request, Buffer.from(JSON.stringify(value)));

let unread = empty;
const input = new net.Socket({ fd: 3, readable: true, writable: false });
input.on("data", (chunk) => {
  let data = unread.length === 0 ? chunk : Buffer.concat([unread, chunk]);
  while (data.length >= 4) {
    const end = 4 + data.readUInt32BE(0);
    if (data.length < end) break;
    receive(data.readUInt8(4), data.readUInt32BE(5), data.subarray(9, end));
    data = data.subarray(end);
  }
  unread = data;
});
// Without an agent nobody wants the results.
input.on("end", () => process.exit(0));
input.on("error", () => process.exit(0));

function receive(type, number, body) {
  if (type === INVOKE) invoke(number, body);
  else if (type === CANCEL) cancel(number);
  else if (type === INITIALIZE) void start(JSON.parse(body));
  else if (type === PRE_STOP) void stop();
}

// ---- Life of the instance ----

async function start(given) {
  settings = given;
  if (settings.concurrency > 1) tagOutput();
  let stage = "load";
  try {
    handler = await loadFunction(settings.codeDir, settings.handler);
    const initialize = settings.initializer && (await loadFunction(settings.codeDir, settings.initializer));
    if (settings.preStop) preStop = await loadFunction(settings.codeDir, settings.preStop);
    send(LOADED, 0, empty);
    flush();
    stage = "initialize";
    if (initialize) await call(initialize, [contextOf({ requestId: settings.startRequestId })]);
    sendJson(READY, 0, { version: process.versions.node });
  } catch (error) {
    sendJson(START_FAILED, 0, { stage, isFatal: error?.isDeterministic === true, body: describeError(error) });
    await drained();
    process.exit(1);
  }
}

async function stop() {
  try {
    if (preStop) await call(preStop, [contextOf({ requestId: "" })]);
  } catch (error) {
    console.error(error);
  }
  await drained();
  send(PRE_STOP_DONE, 0, empty);
  flush();
}

/** Calls in either style: with a callback as last parameter, or returning a value or a promise. */
function call(fn, parameters) {
  return new Promise((resolve, reject) => {
    const callback = (error, value) =>
      error === undefined || error === null ? resolve(value) : reject(new Handled(error));
    const returned = fn(...parameters, callback);
    if (typeof returned?.then === "function") returned.then(resolve, reject);
    else if (fn.length <= parameters.length) resolve(returned);
  });
}

/** An error that the handler handed to its callback, as opposed to one that escaped. */
class Handled {
  constructor(error) {
    this.error = error;
  }
}

// ---- One request ----

function invoke(number, body) {
  const headerEnd = 2 + body.readUInt16BE(0);
  const header = JSON.parse(body.toString("utf8", 2, headerEnd));
  const request = { number, header, abort: undefined, isCancelled: false, isDone: false, logBytes: 0 };
  requests.set(number, request);
  const event = body.subarray(headerEnd);
  current.run(request, run, request, event);
}

async function run(request, event) {
  try {
    const result = toBytes(await call(handler, [event, contextOf(request.header, request)]));
    if (result.length > settings.resultBytesMax) await fail(request, { kind: "too_large", bytes: result.length });
    else await finish(request, RESULT, result);
  } catch (error) {
    const isHandled = error instanceof Handled;
    await fail(request, failureOf(isHandled ? error.error : error, isHandled));
  }
}

function toBytes(value) {
  if (typeof value === "string") return Buffer.from(value);
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (value === undefined) return empty;
  const json = JSON.stringify(value);
  if (json === undefined) throw new TypeError(`a result of type ${typeof value} cannot be serialised`);
  return Buffer.from(json);
}

const fail = (request, failure) => finish(request, FAILED, Buffer.from(JSON.stringify(failure)));

async function finish(request, type, body) {
  if (request.isDone) return;
  // What the handler printed must be in the pipe before its result, else it would belong to the next request.
  if (process.stdout.writableLength > 0 || process.stderr.writableLength > 0) await drained();
  request.isDone = true;
  requests.delete(request.number);
  send(type, request.number, body);
  // Nothing will share its write.
  if (settings.concurrency === 1) flush();
}

async function drained() {
  for (const stream of [process.stdout, process.stderr]) await new Promise((resolve) => stream.write("", resolve));
}

function cancel(number) {
  const request = requests.get(number);
  // Tells whether the handler looks at its signal: then it is worth waiting for.
  send(CANCEL_SEEN, number, Buffer.of(request?.abort ? 1 : 0));
  if (!request) return;
  request.isCancelled = true;
  request.abort?.abort();
}

function contextOf(header, request) {
  const { requestId } = header;
  return {
    requestId,
    credentials: settings.context.credentials,
    function: settings.context.function,
    service: settings.context.service,
    region: settings.context.region,
    accountId: settings.context.accountId,
    retryCount: header.retryCount ?? 0,
    tracing: { openTracingSpanContext: "", openTracingSpanBaggages: {}, jaegerEndpoint: "" },
    taskId: header.taskId,
    attempt: header.attempt,
    fenceToken: header.fenceToken,
    deadlineMs: header.deadlineMs,
    get logger() {
      return loggerOf(requestId);
    },
    /**
     * Aborts when the attempt is to stop; at its time-out only in a shared instance, any other is killed then. Made on demand: it
     * costs more than a small handler.
     */
    get signal() {
      if (!request) return undefined;
      request.abort ??= new AbortController();
      if (request.isCancelled) request.abort.abort();
      return request.abort.signal;
    },
    progress(value) {
      if (!request || request.isDone) return;
      const json = Buffer.from(JSON.stringify(value ?? null));
      const { progressBytesMax } = settings;
      if (json.length > progressBytesMax)
        throw new RangeError(`a progress value has at most ${progressBytesMax} bytes as JSON, not ${json.length}`);
      send(PROGRESS, request.number, json);
    },
  };
}

function loggerOf(requestId) {
  const at =
    (level) =>
    (...values) =>
      void process.stdout.write(`${new Date().toISOString()} ${requestId} [${level}] ${format(...values)}\n`);
  return { debug: at("DEBUG"), info: at("INFO"), log: at("INFO"), warn: at("WARNING"), error: at("ERROR") };
}

// ---- Output of several requests at a time ----

/** Sends what a request prints as frames that name it. What no request printed stays on the instance's own pipes. */
function tagOutput() {
  for (const [stream, tag] of [
    [process.stdout, 1],
    [process.stderr, 2],
  ]) {
    const original = stream.write.bind(stream);
    stream.write = (chunk, encoding, callback) => {
      const request = current.getStore();
      if (!request || request.isDone) return original(chunk, encoding, callback);
      log(
        request,
        tag,
        typeof chunk === "string" ? Buffer.from(chunk, typeof encoding === "string" ? encoding : "utf8") : chunk,
      );
      const done = typeof encoding === "function" ? encoding : callback;
      if (done) process.nextTick(done);
      return true;
    };
  }
}

function log(request, tag, bytes) {
  // The agent cuts at the same bound and writes the mark; what is beyond it need not travel.
  if (request.logBytes > settings.logBytesMax) return;
  request.logBytes += bytes.length;
  const piece = 32 * 1024;
  for (let offset = 0; offset < bytes.length; offset += piece) {
    send(LOG, request.number, Buffer.concat([Buffer.of(tag), bytes.subarray(offset, offset + piece)]));
  }
  if (pending.length > 64) flush();
}

// ---- Ends that nobody catches ----

process.on("uncaughtException", (error) => {
  writeSync(2, `${error?.stack ?? error}\n`);
  // With one request in flight we know whose error it is; with several, all of them crash with the instance.
  if (requests.size === 1) {
    const [request] = requests.values();
    sendJson(FAILED, request.number, failureOf(error, false));
  }
  process.exit(1);
});
process.on("exit", flush);
