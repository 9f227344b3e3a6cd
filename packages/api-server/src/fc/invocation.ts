import { AppError, invalid } from "@sluice/core";
import { TaskSubmission } from "@sluice/protocol";
import type { HttpHead } from "@sluice/runtime";
import { wholeNumber } from "./whole-number.ts";

interface InvocationContext {
  readonly delayMsMax: number;
  /** Empty: a repetition of the request is another submission. */
  readonly requestToken: string;
}

/** An asynchronous InvokeFunction as a submission. Throws what is wrong with it; the rest is checked where all submissions are. */
export function parseInvocation(
  { params, headers }: HttpHead,
  payload: Buffer,
  { delayMsMax, requestToken }: InvocationContext,
): TaskSubmission {
  const header = (name: string): string | undefined => headers[name]?.toString();
  const type = header("x-fc-invocation-type") ?? "Sync";
  if (type.toLowerCase() !== "async") {
    const message = `send \`x-fc-invocation-type: Async\`, not ${type}: a function is invoked through its queue only`;
    throw invalid("SYNC_NOT_SUPPORTED", "x-fc-invocation-type", message);
  }
  return TaskSubmission.fromPartial({
    function: params["functionName"] ?? "",
    // The second is how version 2.0 of the service called it.
    taskId: header("x-fc-async-task-id") ?? header("x-fc-stateful-async-invocation-id") ?? "",
    payload,
    delayMs: parseDelayMs(header("x-fc-async-delay"), delayMsMax),
    submissionToken: requestToken,
  });
}

/** Throws `VERSION_NOT_FOUND`: a function has one version, the latest. */
export function checkQualifier(qualifier: string | undefined): void {
  if (qualifier === undefined || qualifier === "" || qualifier === "LATEST") return;
  const message = `there is no version or alias ${qualifier}; leave the qualifier out, or send LATEST`;
  throw new AppError("not_found", "VERSION_NOT_FOUND", message, { field: "qualifier" });
}

function parseDelayMs(seconds: string | undefined, delayMsMax: number): number {
  if (seconds === undefined) return 0;
  const range = { field: "x-fc-async-delay", reason: "INVALID_DELAY", min: 0, max: Math.floor(delayMsMax / 1_000) };
  return wholeNumber(seconds, range) * 1_000;
}
