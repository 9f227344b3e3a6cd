import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { AppError } from "@sluice/core";

/** Undefined: the sender does not say before. */
export function bodyBytesOf(headers: IncomingHttpHeaders): number | undefined {
  return headers["transfer-encoding"] === undefined ? Number(headers["content-length"] ?? 0) : undefined;
}

export interface Bodies {
  /** Counts the body of a request; returns how to give its room back. Throws `SERVER_BUSY`. */
  admit(headers: IncomingHttpHeaders): () => void;
}

/** Room for the bodies of all requests together, those of unknown length counted as the longest. */
export function createBodies(bodyBytesMax: number, bodiesBytesMax: number): Bodies {
  let bytes = 0;
  return {
    admit(headers) {
      const taken = Math.min(bodyBytesOf(headers) ?? bodyBytesMax, bodyBytesMax);
      if (bytes + taken > bodiesBytesMax) {
        const message = "the server reads as many bodies of requests as it has room for; try again later";
        throw new AppError("exhausted", "SERVER_BUSY", message, { retryAfterMs: 1_000 });
      }
      bytes += taken;
      return () => {
        bytes -= taken;
      };
    },
  };
}

/** Of a body of unknown length. */
const firstBytes = 4_096;

/**
 * Copies a body into one piece: parts of a byte each, kept as they come, would take 400 times the memory that is counted for them.
 * Rejects with `PAYLOAD_TOO_LARGE`, or with `CALLER_GONE` when the rest will not come.
 */
export function readBody(request: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const declared = bodyBytesOf(request.headers);
  return new Promise((resolve, reject) => {
    let body = Buffer.allocUnsafe(Math.min(declared ?? firstBytes, bytesMax));
    let length = 0;
    const onData = (part: Buffer) => {
      const next = length + part.length;
      if (next > bytesMax) return settle(() => reject(tooLarge(bytesMax)));
      if (next > body.length) {
        const larger = Buffer.allocUnsafe(Math.min(Math.max(next, 2 * body.length), bytesMax));
        body.copy(larger, 0, 0, length);
        body = larger;
      }
      part.copy(body, length);
      length = next;
    };
    const onEnd = () => settle(() => resolve(body.subarray(0, length)));
    const onClose = () => settle(() => reject(gone()));
    function settle(answer: () => void): void {
      request.off("data", onData).off("end", onEnd).off("close", onClose);
      answer();
    }
    if ((declared ?? 0) > bytesMax) return reject(tooLarge(bytesMax));
    if (request.destroyed) return reject(gone());
    request.on("data", onData).once("end", onEnd).once("close", onClose);
  });
}

function tooLarge(bytesMax: number): AppError {
  return new AppError("invalid", "PAYLOAD_TOO_LARGE", `the body has more than ${bytesMax} bytes`);
}

function gone(): AppError {
  return new AppError("cancelled", "CALLER_GONE", "the caller went away before its body was there");
}
