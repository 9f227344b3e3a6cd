"use strict";
const runnerDirectory = require("node:path").dirname(__dirname);
const textMax = 32 * 1024;
const stackLinesMax = 50;

/** What the agent must know of a failed request: the class decides about retries, the body is for the user. */
exports.failureOf = (error, isHandled) => {
  const isFlowControl = isFlowControlError(error);
  const isFatal = error?.retryable === false || error?.fatal === true || error?.isDeterministic === true;
  return {
    kind: isFlowControl ? "flow_control" : isHandled ? "handled" : "unhandled",
    isFatal: isFatal && !isFlowControl,
    ...retryAfterOf(error),
    body: exports.describeError(error),
  };
};

/** By name, or an HTTP client's error of an answer 429: the downstream takes less, which is no failure of the task. */
function isFlowControlError(error) {
  if ([error?.name, error?.errorType, error?.constructor?.name].includes("FlowControlError")) return true;
  const { statusCode, status, response } = Object(error);
  return [statusCode, status, response?.status, response?.statusCode].some((code) => Number(code) === 429);
}

/** In ms as the error says it, or in seconds as the header of its answer does. A date is left out: clocks differ. */
function retryAfterOf(error) {
  const { retryAfterMs, headers, response } = Object(error);
  const given = [() => retryAfterMs, () => headerOf(headers) * 1_000, () => headerOf(response?.headers) * 1_000];
  for (const read of given) {
    const ms = Number(read() ?? Number.NaN);
    if (ms >= 0 && Number.isFinite(ms)) return { retryAfterMs: ms };
  }
  return {};
}

function headerOf(headers) {
  try {
    const value =
      typeof headers?.get === "function"
        ? headers.get("retry-after")
        : (headers?.["retry-after"] ?? headers?.["Retry-After"]);
    return value === null || value === undefined || value === "" ? Number.NaN : Number(value);
  } catch {
    // An object of the user's that is not what it looks like.
    return Number.NaN;
  }
}

exports.describeError = (error) => {
  if (!(error instanceof Error) && typeof error?.message !== "string") return { errorMessage: cut(textOf(error)) };
  return {
    errorMessage: cut(String(error.message)),
    errorType: cut(String(error.name ?? "Error")),
    stackTrace: stackOf(error),
  };
};

/** The lines of user code: what called it, from the first line of the runner on, helps nobody. */
function stackOf(error) {
  const lines = String(error.stack ?? "")
    .split("\n")
    .filter((line) => line.startsWith("    at "));
  const runner = lines.findIndex((line) => line.includes(runnerDirectory));
  return lines
    .slice(0, runner < 0 ? stackLinesMax : Math.min(runner, stackLinesMax))
    .map((line) => line.trim().slice(0, 1024));
}

function textOf(value) {
  if (typeof value === "string") return value;
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}

const cut = (text) => (text.length > textMax ? `${text.slice(0, textMax)}…` : text);
