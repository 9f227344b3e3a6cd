import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { isReservedVariable } from "@sluice/core";
import { expect, test } from "vitest";
import { failureOf, resultOf, startPool } from "./testing.ts";

const node = `
const seen = [];
exports.handler = async (event, context) => ({ isBuffer: Buffer.isBuffer(event), event: event.toString(), context });
exports.callback = (event, context, callback) => setTimeout(() => callback(null, Buffer.from("called back")), 1);
exports.sync = () => "plain";
exports.nothing = async () => {};
exports.handled = (event, context, callback) => callback(new RangeError("oops"));
exports.handledText = (event, context, callback) => callback("just text");
exports.thrown = async () => { throw new TypeError("oops"); };
exports.thrownSync = () => { throw new TypeError("oops"); };
exports.fatal = async () => { throw Object.assign(new Error("never"), { retryable: false }); };
exports.flow = async () => { class FlowControlError extends Error { retryAfterMs = 250; } throw new FlowControlError("slow down"); };
const headers = { "retry-after": "3" };
exports.http = async () => { throw Object.assign(new Error("Too Many Requests"), { status: 429, headers: new Headers(headers) }); };
exports.client = async () => { throw Object.assign(new Error("429"), { response: { status: 429, headers } }); };
exports.dated = async () => { throw Object.assign(new Error("429"), { statusCode: 429, headers: { "Retry-After": "Wed, 21 Oct 2037 07:28:00 GMT" } }); };
exports.unavailable = async () => { throw Object.assign(new Error("503"), { statusCode: 503, headers }); };
exports.circular = async () => { const a = {}; a.a = a; return a; };
exports.func = async () => () => {};
exports.environment = async () => process.env;
exports.place = async () => ({ cwd: process.cwd(), dirname: __dirname, tmp: require("os").tmpdir() });
exports.log = async (event, { logger }) => { logger.info("said %s", "this"); console.error("to stderr"); };
exports.initialize = async (context) => { seen.push(context.requestId); console.log("initializing"); };
exports.seen = async () => seen;
exports.brokenInitialize = (context, callback) => callback(new Error("no database"));
exports.slowInitialize = () => new Promise(() => {});
exports.longProgress = async (event, context) => {
  context.progress("ü".repeat(4095));
  try { context.progress("ü".repeat(4096)); } catch (error) { return [error.name, error.message]; }
};
exports.progress = async (event, context) => { for (let i = 0; i <= 1000; i++) context.progress({ percent: i / 10 }); };
`;
const python = `
import os, sys, logging
seen = []
def handler(event, context):
    return {"type": type(event).__name__, "event": event.decode(), "request": [context.request_id, context.requestId],
            "function": [context.function.name, context.function.memory, context.function.timeout],
            "task": [context.task_id, context.attempt, context.fence_token, context.retry_count, context.account_id],
            "service": context.service.log_project, "key": context.credentials.access_key_id}
def text(event, context): return "text"
def raw(event, context): return b"\\x00\\x01"
def thrown(event, context): raise ValueError("oops")
class NoRetry(Exception): retryable = False
def fatal(event, context): raise NoRetry("never")
class FlowControlError(Exception): retry_after = 2
def flow(event, context): raise FlowControlError("slow down")
class HttpError(Exception):
    def __init__(self, code): super().__init__(str(code)); self.response = type("Response", (), {"status_code": code, "headers": {"Retry-After": "3"}})
def http(event, context): raise HttpError(429)
def unavailable(event, context): raise HttpError(503)
def unserialisable(event, context): return object()
def environment(event, context): return {"env": dict(os.environ), "cwd": os.getcwd(), "path": sys.path}
def log(event, context):
    print("printed"); sys.stderr.write("to stderr\\n"); logging.getLogger().info("logged"); context.logger.info("said %s", "this")
def initialize(context): seen.append(context.request_id)
def seen_by(event, context): return seen
def leave(event, context): sys.exit(3)
def progress(event, context): context.progress({"text": "\\ud800ü", "list": [1, 2.5]})
def long_progress(event, context):
    context.progress("ü" * 4095)
    try: context.progress("ü" * 4096)
    except ValueError as error: return [type(error).__name__, str(error)]
def nan_progress(event, context): context.progress(float("nan"))
`;
const files = {
  "index.js": node,
  "main.py": python,
  "esm.mjs": `export const handler = async () => "from a module"`,
  "deep/er.py": "def go(event, context): return 'deep'",
  "broken.js": "syntax error here",
};

test("a Node handler gets its event as a Buffer and the documented context", async () => {
  await using world = startPool(files);

  const outcome = await world.run(world.spec());

  expect(JSON.parse(resultOf(outcome))).toMatchObject({
    isBuffer: true,
    event: "payload",
    context: {
      requestId: "request-1",
      taskId: "task-1",
      attempt: 1,
      fenceToken: "fence-1",
      retryCount: 0,
      accountId: "account",
      credentials: { accessKeyId: "", accessKeySecret: "", securityToken: "" },
      function: { name: "function", handler: "index.handler", memory: 256, timeout: 20 },
      service: { qualifier: "LATEST" },
      tracing: { openTracingSpanContext: "" },
    },
  });
});

test("Node handlers may return in every documented style", async () => {
  await using world = startPool(files);
  const result = async (handler: string) =>
    resultOf(await world.run(world.spec({ handler, revision: handler.length })));

  expect(await result("index.callback")).toBe("called back");
  expect(await result("index.sync")).toBe("plain");
  expect(await result("index.nothing")).toBe("");
  expect(await result("esm.handler")).toBe("from a module");
});

test.each([
  ["index.handled", "HandledInvocationError", "retryable", { errorMessage: "oops", errorType: "RangeError" }],
  ["index.handledText", "HandledInvocationError", "retryable", { errorMessage: "just text" }],
  ["index.thrown", "UnhandledInvocationError", "retryable", { errorMessage: "oops", errorType: "TypeError" }],
  ["index.thrownSync", "UnhandledInvocationError", "retryable", { errorMessage: "oops", errorType: "TypeError" }],
  ["index.fatal", "UnhandledInvocationError", "fatal", { errorMessage: "never" }],
  ["index.circular", "UnhandledInvocationError", "retryable", { errorType: "TypeError" }],
  ["index.func", "UnhandledInvocationError", "retryable", { errorType: "TypeError" }],
  [
    "index.absent",
    "UnhandledInvocationError",
    "fatal",
    { errorMessage: "Handler 'absent' is missing on module 'index'" },
  ],
  ["absent.handler", "UnhandledInvocationError", "fatal", { errorMessage: "Cannot find module 'absent'" }],
  ["broken.handler", "UnhandledInvocationError", "retryable", { errorType: "SyntaxError" }],
])("%s fails as %s, %s", async (handler, errorType, failureClass, body) => {
  await using world = startPool(files);

  const failure = failureOf(await world.run(world.spec({ handler })));

  expect(failure).toMatchObject({ errorType, class: failureClass, body });
});

test("a flow-control error says when to come back", async () => {
  await using world = startPool(files);

  const fromNode = failureOf(await world.run(world.spec({ handler: "index.flow" })));
  const fromPython = failureOf(await world.run(world.spec({ runtime: "python3", handler: "main.flow", revision: 2 })));

  expect(fromNode).toMatchObject({ errorType: "FlowControlError", class: "flow_control", retryAfterMs: 250 });
  expect(fromPython).toMatchObject({ errorType: "FlowControlError", class: "flow_control", retryAfterMs: 2000 });
});

test.each([
  ["index.http", "nodejs20", 3_000],
  ["index.client", "nodejs20", 3_000],
  ["index.dated", "nodejs20", undefined],
  ["main.http", "python3", 3_000],
])(
  "the error of an answer 429 is flow control, with the seconds of its Retry-After: %s",
  async (handler, runtime, ms) => {
    await using world = startPool(files);
    const failure = failureOf(await world.run(world.spec({ handler, runtime })));
    expect(failure).toMatchObject({ errorType: "FlowControlError", class: "flow_control" });
    expect(failure.retryAfterMs).toBe(ms);
  },
);

test.each([
  ["index.unavailable", "nodejs20"],
  ["main.unavailable", "python3"],
])("the error of another answer is a failure of the handler: %s", async (handler, runtime) => {
  await using world = startPool(files);
  expect(failureOf(await world.run(world.spec({ handler, runtime })))).toMatchObject({ class: "retryable" });
});

test("a Python handler gets its event as bytes and the documented context", async () => {
  await using world = startPool(files);
  const python = { runtime: "python3", revision: 1 };

  const outcome = await world.run(world.spec({ ...python, handler: "main.handler" }));
  const deep = await world.run(world.spec({ runtime: "python3", handler: "deep/er.go", revision: 2 }));
  const raw = await world.run(world.spec({ runtime: "python3", handler: "main.raw", revision: 3 }));

  expect(JSON.parse(resultOf(outcome))).toEqual({
    type: "bytes",
    event: "payload",
    request: ["request-1", "request-1"],
    function: ["function", 256, 20],
    task: ["task-1", 1, "fence-1", 0, "account"],
    service: "",
    key: "",
  });
  expect(resultOf(deep)).toBe("deep");
  expect(raw).toMatchObject({ result: Buffer.from([0, 1]) });
});

test.each([
  ["main.thrown", "retryable", { errorMessage: "oops", errorType: "ValueError" }],
  ["main.fatal", "fatal", { errorMessage: "never", errorType: "NoRetry" }],
  ["main.unserialisable", "retryable", { errorType: "TypeError" }],
  ["main.absent", "fatal", { errorMessage: "Handler 'absent' is missing on module 'main'" }],
  ["absent.handler", "fatal", { errorType: "ModuleNotFoundError" }],
  [
    "main.leave",
    "retryable",
    { errorMessage: expect.stringContaining("Process exited unexpectedly before completing request (duration: ") },
  ],
])("Python's %s fails, %s", async (handler, failureClass, body) => {
  await using world = startPool(files);

  const failure = failureOf(await world.run(world.spec({ runtime: "python3", handler })));

  expect(failure).toMatchObject({ errorType: "UnhandledInvocationError", class: failureClass, body });
});

test("stack traces have the documented shapes and nothing of the runner", async () => {
  await using world = startPool(files);

  const node = failureOf(await world.run(world.spec({ handler: "index.thrown" })));
  const python = failureOf(await world.run(world.spec({ runtime: "python3", handler: "main.thrown", revision: 2 })));

  expect(node.body.stackTrace).toEqual([expect.stringMatching(/^at .*index\.js/)]);
  expect(python.body.stackTrace).toEqual([
    [expect.stringContaining("main.py"), expect.any(Number), "thrown", expect.stringContaining("raise")],
  ]);
});

test("an instance sees the user's variables, the documented ones, and nothing of the agent", async () => {
  await using world = startPool(files);
  const environment = {
    MINE: "1",
    NODE_ENV: "production",
    NODE_PATH: "/opt/nodejs/node_modules",
    PYTHONPATH: "lib",
    MALLOC_ARENA_MAX: "2",
    LD_PRELOAD: "/evil.so",
    BASH_ENV: "/evil.sh",
    NODE_OPTIONS: "--inspect",
    PATH: "/evil",
    FC_ACCOUNT_ID: "other",
  };

  const node = JSON.parse(resultOf(await world.run(world.spec({ handler: "index.environment", environment }))));
  const place = JSON.parse(resultOf(await world.run(world.spec({ handler: "index.place", revision: 2 }))));

  expect(node).toMatchObject({
    MINE: "1",
    NODE_ENV: "production",
    NODE_PATH: "/opt/nodejs/node_modules",
    PYTHONPATH: "lib",
    MALLOC_ARENA_MAX: "2",
    FC_FUNCTION_NAME: "function",
    FC_ACCOUNT_ID: "account",
    PATH: process.env["PATH"],
  });
  const known =
    /^(MINE|NODE_(ENV|PATH)|MALLOC_ARENA_MAX|FC_.*|PATH|HOME|TZ|LANG|TMPDIR|PWD|OLDPWD|_|SHLVL|PYTHON(PATH|DONTWRITEBYTECODE|UTF8)|SLUICE_(SCOPE|INSTANCE_ID))$/;
  expect(Object.keys(node).filter((name) => !known.test(name))).toEqual([]);
  const python = world.spec({ runtime: "python3", handler: "main.environment", environment, revision: 3 });
  const { path } = JSON.parse(resultOf(await world.run(python)));
  expect(path).toContain(`${place.cwd}/lib`);
  expect(place.cwd).toBe(place.dirname);
  expect(place.tmp).toContain(`${world.directory}/work/i-`);
});

test("the shell that starts an instance changes no variable of the user's, and none keeps the instance from starting", async () => {
  await using world = startPool(files);
  // What bash and dash know of; not what decides how a process is started, and is refused as well.
  const ofShells =
    "_ PPID OPTIND OPTARG OPTERR SHLVL PS1 PS2 PS3 UID EUID GROUPS RANDOM SRANDOM SECONDS LINENO HOSTNAME HOSTTYPE MACHTYPE OSTYPE TERM " +
    "PIPESTATUS FUNCNAME FUNCNEST DIRSTACK HISTCMD HISTFILE HISTSIZE EPOCHSECONDS EPOCHREALTIME COMP_WORDBREAKS COLUMNS LINES MAIL MAILPATH " +
    "CDPATH GLOBIGNORE IGNOREEOF POSIXLY_CORRECT TMOUT TIMEFORMAT COPROC REPLY MAPFILE CHILD_MAX LC_ALL LANGUAGE BASH BASHOPTS BASHPID file";
  const mine = Object.fromEntries(ofShells.split(" ").map((name) => [name, "mine"]));

  const seen = JSON.parse(resultOf(await world.run(world.spec({ handler: "index.environment", environment: mine }))));

  for (const name of Object.keys(mine))
    expect([name, seen[name] === "mine"]).toEqual([name, !isReservedVariable(name)]);
});

test("the log has the platform's markers around what the handler printed", async () => {
  await using world = startPool(files);

  const node = await world.run(world.spec({ handler: "index.log" }));
  const python = await world.run(world.spec({ runtime: "python3", handler: "main.log", revision: 2 }));
  const failing = await world.run(world.spec({ handler: "index.thrown", revision: 3 }));

  const inOrder = (...lines: string[]) => new RegExp(lines.join("[\\s\\S]*"));
  expect(node.log).toMatch(
    inOrder(
      "FunctionCompute nodejs20 runtime inited",
      "FC Invoke Start RequestId: request-1\n",
      "Z request-1 \\[INFO\\] said this\n",
    ),
  );
  expect(node.log).toMatch(/to stderr\n[\s\S]*FC Invoke End RequestId: request-1\n$/);
  expect(python.log).toMatch(
    inOrder("Invoke Start", "printed\n", "request-1 \\[INFO\\] logged\n", "request-1 \\[INFO\\] said this\n"),
  );
  expect(python.log).toContain("to stderr\n");
  expect(failing.log).toMatch(/FC Invoke End RequestId: request-1, Error: Unhandled function error\n$/);
});

test("the initializer runs once per instance, before the first request", async () => {
  await using world = startPool(files);
  const spec = world.spec({ handler: "index.seen", initializer: { handler: "index.initialize", timeoutMs: 5000 } });

  const first = await world.run(spec);
  const second = await world.run(spec, { requestId: "request-2" });

  expect(resultOf(second)).toBe('["request-1"]');
  expect(first.log).toMatch(
    /FC Initialize Start RequestId: request-1\ninitializing\nFC Initialize End RequestId: request-1\n/,
  );
  expect(second.log).not.toContain("Initialize");
});

test("a failing or endless initializer is an InitializationError, and its instance is not used again", async () => {
  await using world = startPool(files);
  const broken = world.spec({ initializer: { handler: "index.brokenInitialize", timeoutMs: 5000 } });
  const endless = world.spec({ initializer: { handler: "index.slowInitialize", timeoutMs: 300 }, revision: 2 });

  const failures = [failureOf(await world.run(broken)), failureOf(await world.run(endless))];

  expect(failures[0]).toMatchObject({ errorType: "InitializationError", class: "retryable" });
  expect(failures[1]).toMatchObject({
    errorType: "InitializationError",
    message: "Function initializer timed out after 0.3 seconds",
  });
  expect(world.pool.hasWarm(1) || world.pool.hasWarm(2)).toBe(false);
});

test("progress is handed on, at a bounded rate, and the last value always", async () => {
  await using world = startPool(files);
  const values: unknown[] = [];

  await world.run(world.spec({ handler: "index.progress" }), {
    onProgress: (json) => void values.push(JSON.parse(json)),
  });

  expect(values.at(-1)).toEqual({ percent: 100 });
  expect(values.length).toBeLessThan(10);
});

test.each([
  ["index.longProgress", "nodejs20", "RangeError"],
  ["main.long_progress", "python3", "ValueError"],
])("%s may be as long as it is kept; a handler that reports more hears of it", async (handler, runtime, error) => {
  await using world = startPool(files);
  const values: string[] = [];

  const outcome = await world.run(world.spec({ handler, runtime }), { onProgress: (json) => void values.push(json) });

  expect(values).toEqual([`"${"ü".repeat(4_095)}"`]);
  const message = "a progress value has at most 8192 bytes as JSON, not 8194";
  expect(JSON.parse(resultOf(outcome))).toEqual([error, message]);
});

test("progress of a Python handler is written as that of a Node one, and must be JSON", async () => {
  await using world = startPool(files);
  const values: string[] = [];
  const spec = world.spec({ runtime: "python3", handler: "main.progress" });

  await world.run(spec, { onProgress: (json) => void values.push(json) });
  const outcome = await world.run({ ...spec, revision: 2, handler: "main.nan_progress" });

  expect(values).toEqual(['{"text":"\\ud800ü","list":[1,2.5]}']);
  expect(failureOf(outcome).message).toContain("not JSON compliant");
});

test("a runtime that is unknown, or not on this host, is invalid", async () => {
  await using world = startPool(files);

  const unknown = await world.run(world.spec({ runtime: "cobol" }));
  const absent = await world.run(world.spec({ runtime: "python3.99" }));

  expect(unknown).toMatchObject({ kind: "invalid", reason: "InvalidFunction" });
  expect(absent).toMatchObject({ kind: "invalid" });
});

test("the Python runner is written in the Python of 3.9", () => {
  const source = join(import.meta.dirname, "runner.py");
  const parse = "import ast, sys; ast.parse(open(sys.argv[1]).read(), feature_version=(3, 9))";
  const { status, stderr } = spawnSync("python3", ["-c", parse, source], { encoding: "utf8" });
  expect([status, stderr]).toEqual([0, ""]);
});
