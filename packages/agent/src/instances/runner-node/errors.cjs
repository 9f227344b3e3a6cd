"use strict";
const runnerDirectory = require("node:path").dirname(__dirname);
const textMax = 32 * 1024;
const stackLinesMax = 50;

/** What the agent must know of a failed request: the class decides about retries, the body is for the user. */
exports.failureOf = (error, isHandled) => {
  const isFlowControl = [error?.name, error?.errorType, error?.constructor?.name].includes("FlowControlError");
  const isFatal = error?.retryable === false || error?.fatal === true || error?.isDeterministic === true;
  const retryAfterMs = Number(error?.retryAfterMs);
  return {
    kind: isFlowControl ? "flow_control" : isHandled ? "handled" : "unhandled",
    isFatal: isFatal && !isFlowControl,
    ...(retryAfterMs >= 0 && { retryAfterMs }),
    body: exports.describeError(error),
  };
};

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
