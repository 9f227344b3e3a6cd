"""Runs the handlers of one Python instance. No dependencies; works on Python 3.9 and newer.

Frames (see frames.ts) come in on fd 3 and leave on fd 4, so that what a handler prints can never be taken for a result.
One thread reads; the handler runs in the main thread, or in as many threads as requests may run at a time.
"""
import contextvars
import importlib
import io
import json
import logging
import os
import queue
import struct
import sys
import threading
import time
import traceback

INITIALIZE, INVOKE, CANCEL, PRE_STOP = 1, 2, 3, 4
LOADED, READY, START_FAILED, RESULT, FAILED, LOG, PROGRESS, CANCEL_SEEN, PRE_STOP_DONE = range(1, 10)
HEAD = struct.Struct(">IBI")
TEXT_MAX = 32 * 1024
CURRENT = contextvars.ContextVar("sluice_request", default=None)


class Output:
    """Writes frames. Those that come while another thread is writing go out with its next write."""

    def __init__(self):
        self._frames = queue.SimpleQueue()
        self._lock = threading.Lock()

    def send(self, kind, request, body=b""):
        self._frames.put(HEAD.pack(5 + len(body), kind, request) + body)
        while not self._frames.empty():
            if not self._lock.acquire(blocking=False):
                return
            try:
                self._write()
            finally:
                self._lock.release()

    def _write(self):
        frames = []
        while not self._frames.empty():
            frames.append(self._frames.get())
        view = memoryview(b"".join(frames))
        while view:
            view = view[os.write(4, view):]

    def send_json(self, kind, request, value):
        self.send(kind, request, json.dumps(value).encode())


OUTPUT = Output()


class DeterministicError(Exception):
    """The same code meets it every time, so that another attempt is useless."""


class Logger:
    """`context.logger`: an object, and a method that returns it."""

    def __init__(self, request_id):
        self._request_id = request_id

    def __call__(self):
        return self

    def _write(self, level, message, arguments):
        text = str(message) % arguments if arguments else str(message)
        print(f"{timestamp()} {self._request_id} [{level}] {text}")

    def debug(self, message, *arguments):
        self._write("DEBUG", message, arguments)

    def info(self, message, *arguments):
        self._write("INFO", message, arguments)

    log = info

    def warn(self, message, *arguments):
        self._write("WARNING", message, arguments)

    warning = warn

    def error(self, message, *arguments):
        self._write("ERROR", message, arguments)


class Record:
    """Attributes in snake case, and the same in camel case, which older code uses."""

    def __init__(self, **fields):
        for name, value in fields.items():
            setattr(self, name, value)
            first, *rest = name.split("_")
            setattr(self, first + "".join(word.title() for word in rest), value)


class Context(Record):
    _request = None

    @property
    def cancelled(self):
        """An event that is set when the attempt is to stop; at its time-out only in a shared instance, any other is killed then."""
        if self._request:
            self._request.listens = True
        return self._request.cancelled if self._request else threading.Event()


class Request:
    def __init__(self, number, header, payload):
        self.number, self.header, self.payload = number, header, payload
        self.log_bytes, self.is_done, self.listens = 0, False, False
        self.unsent = {1: bytearray(), 2: bytearray()}
        self.cancelled = threading.Event()

    def log(self, tag, data):
        # The agent cuts at the same bound and writes the mark; what is beyond it need not travel.
        if self.log_bytes > SETTINGS["logBytesMax"]:
            return
        self.log_bytes += len(data)
        # `print` writes a line in pieces; they travel together.
        self.unsent[tag] += data
        if b"\n" in data or len(self.unsent[tag]) > 8 * 1024:
            self.flush(tag)

    def flush(self, tag):
        data, self.unsent[tag] = bytes(self.unsent[tag]), bytearray()
        for offset in range(0, len(data), 32 * 1024):
            OUTPUT.send(LOG, self.number, bytes([tag]) + data[offset:offset + 32 * 1024])

    def progress(self, value=None):
        # As JavaScript writes it, so that a limit of bytes allows the same. Half a surrogate pair is escaped, as JSON may have it.
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        data, bytes_max = text.encode(errors="backslashreplace"), SETTINGS["progressBytesMax"]
        if len(data) > bytes_max:
            raise ValueError(f"a progress value has at most {bytes_max} bytes as JSON, not {len(data)}")
        if not self.is_done:
            OUTPUT.send(PROGRESS, self.number, data)


def timestamp():
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"


def context_of(header, request=None):
    shared = SETTINGS["context"]
    context = Context(
        request_id=header.get("requestId", ""),
        retry_count=header.get("retryCount", 0),
        task_id=header.get("taskId"),
        attempt=header.get("attempt"),
        fence_token=header.get("fenceToken"),
        deadline_ms=header.get("deadlineMs"),
        account_id=shared["accountId"],
    )
    context.credentials, context.function, context.service, context.tracing = SHARED
    context.region = shared["region"]
    context.logger = Logger(context.request_id)
    context.progress = request.progress if request else lambda value=None: None
    context._request = request
    return context


def shared_records(shared):
    credentials, function, service = shared["credentials"], shared["function"], shared["service"]
    return (
        Record(
            access_key_id=credentials["accessKeyId"],
            access_key_secret=credentials["accessKeySecret"],
            security_token=credentials["securityToken"],
        ),
        Record(**function),
        Record(
            name=service["name"],
            log_project=service["logProject"],
            log_store=service["logStore"],
            qualifier=service["qualifier"],
            version_id=service["versionId"],
        ),
        Record(span_context="", jaeger_endpoint="", span_baggages={}),
    )


# ---- Life of the instance ----


def load(name):
    """Finds "folder/module.function" or "package.module.function" on the path."""
    module_name, _, function_name = name.replace("/", ".").rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(error.name + ".")):
            error.is_deterministic = True
        raise
    function = getattr(module, function_name, None)
    if not callable(function):
        raise DeterministicError(f"Handler '{function_name}' is missing on module '{module_name}'")
    return function


def start():
    """Loads the code and initializes it. Returns the handler, or ends the process."""
    global PRE_STOP_HOOK
    stage = "load"
    try:
        handler = load(SETTINGS["handler"])
        initialize = load(SETTINGS["initializer"]) if SETTINGS.get("initializer") else None
        PRE_STOP_HOOK = load(SETTINGS["preStop"]) if SETTINGS.get("preStop") else None
        OUTPUT.send(LOADED, 0)
        stage = "initialize"
        if initialize:
            initialize(context_of({"requestId": SETTINGS.get("startRequestId", "")}))
        flush()
        OUTPUT.send_json(READY, 0, {"version": sys.version.split()[0]})
        return handler
    except SystemExit as error:
        leave(error)
    except BaseException as error:  # noqa: B902 - whatever user code raises
        failure = failure_of(error)
        flush()
        OUTPUT.send_json(START_FAILED, 0, {"stage": stage, "isFatal": failure["isFatal"], "body": failure["body"]})
        os._exit(1)


def pre_stop():
    try:
        if PRE_STOP_HOOK:
            PRE_STOP_HOOK(context_of({}))
    except BaseException:  # noqa: B902
        traceback.print_exc()
    flush()
    OUTPUT.send(PRE_STOP_DONE, 0)


# ---- One request ----


def work(handler):
    while True:
        run(handler, WORK.get())


def run(handler, request):
    CURRENT.set(request)
    try:
        result = to_bytes(handler(request.payload, context_of(request.header, request)))
        flush()
        if len(result) > SETTINGS["resultBytesMax"]:
            failure = {"kind": "too_large", "bytes": len(result)}
            finish(request, FAILED, json.dumps(failure).encode())
        else:
            finish(request, RESULT, result)
    except SystemExit as error:
        leave(error)
    except BaseException as error:  # noqa: B902
        flush()
        finish(request, FAILED, json.dumps(failure_of(error)).encode())
    finally:
        CURRENT.set(None)


def finish(request, kind, body):
    for tag in request.unsent:
        request.flush(tag)
    request.is_done = True
    REQUESTS.pop(request.number, None)
    OUTPUT.send(kind, request.number, body)


def to_bytes(value):
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    return json.dumps(value).encode()


def failure_of(error):
    name = type(error).__name__
    is_flow_control = is_flow_control_error(error)
    deterministic = isinstance(error, DeterministicError) or getattr(error, "is_deterministic", False)
    is_fatal = getattr(error, "retryable", None) is False or getattr(error, "fatal", None) is True or deterministic
    failure = {
        "kind": "flow_control" if is_flow_control else "unhandled",
        "isFatal": bool(is_fatal) and not is_flow_control,
        "body": {"errorMessage": cut(str(error)), "errorType": name, "stackTrace": stack_of(error)},
    }
    after_ms = retry_after_ms_of(error)
    if after_ms is not None:
        failure["retryAfterMs"] = after_ms
    return failure


# By name, or an HTTP client's error of an answer 429: the downstream takes less, which is no failure of the task.
def is_flow_control_error(error):
    names = (type(error).__name__, attribute(error, "error_type"), attribute(error, "errorType"))
    if "FlowControlError" in names:
        return True
    response = attribute(error, "response")
    sources = ((error, "status_code"), (error, "statusCode"), (error, "status"), (error, "code"))
    sources += ((response, "status_code"), (response, "status"))
    return any(str(attribute(owner, key)) == "429" for owner, key in sources)


# In ms as the error says it, or in seconds as it or the header of its answer does. A date is left out: clocks differ.
def retry_after_ms_of(error):
    seconds = [attribute(error, "retry_after"), header_of(error), header_of(attribute(error, "response"))]
    for value, factor in [(attribute(error, "retry_after_ms"), 1)] + [(value, 1000) for value in seconds]:
        try:
            ms = float(value) * factor
        except (TypeError, ValueError):
            continue
        if 0 <= ms < float("inf"):
            return ms
    return None


def header_of(owner):
    headers = attribute(owner, "headers")
    try:
        return headers.get("retry-after") or headers.get("Retry-After")
    except Exception:  # noqa: B902 - an object of the user's that is not what it looks like
        return None


def attribute(owner, key):
    try:
        return getattr(owner, key, None)
    except Exception:  # noqa: B902 - a property of the user's
        return None


def stack_of(error):
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename != __file__ and "importlib" not in frame.filename]
    return [[frame.filename, frame.lineno, frame.name, cut(frame.line or "")[:1024]] for frame in own[-50:]]


def cut(text):
    return text if len(text) <= TEXT_MAX else text[:TEXT_MAX] + "…"


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # noqa: B902 - user code may have closed or replaced it
            pass


def leave(exit_error):
    """sys.exit in user code ends the instance, as it would end any process."""
    flush()
    code = exit_error.code
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


# ---- Output ----


class Tagged(io.TextIOBase):
    """Sends what a request prints as frames that name it; what none printed goes to the instance's own pipe.

    Threads that a handler starts itself have no request: what they print belongs to the instance.
    """

    def __init__(self, stream, tag):
        self._stream, self._tag, self.buffer = stream, tag, TaggedBytes(stream.buffer, tag)

    @property
    def encoding(self):
        return "utf-8"

    def write(self, text):
        request = CURRENT.get()
        if request is None or request.is_done:
            return self._stream.write(text)
        request.log(self._tag, text.encode("utf-8", "backslashreplace"))
        return len(text)

    def flush(self):
        self._stream.flush()

    def fileno(self):
        return self._stream.fileno()

    def writable(self):
        return True


class TaggedBytes(io.RawIOBase):
    def __init__(self, stream, tag):
        self._stream, self._tag = stream, tag

    def write(self, data):
        request = CURRENT.get()
        if request is None or request.is_done:
            return self._stream.write(data)
        request.log(self._tag, bytes(data))
        return len(data)

    def writable(self):
        return True


class RequestFormatter(logging.Formatter):
    """The conventional line: time, request, level, message."""

    def format(self, record):
        request = CURRENT.get()
        text = f"{timestamp()} {request.header['requestId'] if request else '-'} [{record.levelname}] {record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def set_up_output():
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    sys.stderr.reconfigure(line_buffering=True, errors="backslashreplace")
    if SETTINGS["concurrency"] > 1:
        sys.stdout, sys.stderr = Tagged(sys.stdout, 1), Tagged(sys.stderr, 2)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(RequestFormatter())
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)


# ---- Input ----


def read_frames():
    stream = open(3, "rb", closefd=False, buffering=64 * 1024)
    while True:
        head = stream.read(HEAD.size)
        if len(head) < HEAD.size:
            return
        length, kind, number = HEAD.unpack(head)
        yield kind, number, stream.read(length - 5)


def listen(frames):
    for kind, number, body in frames:
        if kind == INVOKE:
            end = 2 + int.from_bytes(body[:2], "big")
            request = Request(number, json.loads(body[2:end]), body[end:])
            REQUESTS[number] = request
            WORK.put(request)
        elif kind == CANCEL:
            request = REQUESTS.get(number)
            # Tells whether the handler looks at its event: then it is worth waiting for.
            OUTPUT.send(CANCEL_SEEN, number, bytes([request is not None and request.listens]))
            if request:
                request.cancelled.set()
        elif kind == PRE_STOP:
            threading.Thread(target=pre_stop, daemon=True).start()
    # Without an agent nobody wants the results.
    os._exit(0)


def limit_memory(megabytes):
    import resource

    limit = megabytes * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


os.set_inheritable(3, False)
os.set_inheritable(4, False)
# Not the runner's folder, but the user's.
FRAMES = read_frames()
SETTINGS = json.loads(next(FRAMES)[2])
SHARED = shared_records(SETTINGS["context"])
PRE_STOP_HOOK = None
REQUESTS = {}
WORK = queue.SimpleQueue()
sys.path[:1] = [SETTINGS["codeDir"], os.path.join(SETTINGS["codeDir"], "python"), "/opt/python"]
sys.argv = [SETTINGS["handler"]]
set_up_output()
if SETTINGS.get("limitMemoryMb"):
    limit_memory(SETTINGS["limitMemoryMb"])
HANDLER = start()
threading.Thread(target=listen, args=(FRAMES,), daemon=True).start()
for _ in range(SETTINGS["concurrency"] - 1):
    threading.Thread(target=work, args=(HANDLER,), daemon=True).start()
work(HANDLER)
