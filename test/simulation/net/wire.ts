// Messages travel as bytes: nothing is shared between two nodes, and the real encodings run.

import type { ServiceError } from "@grpc/grpc-js";
import { AppError } from "@sluice/core";
import { type Definition, fromServiceError, toServiceError } from "@sluice/protocol";

export type Method = Definition[string];

export function encodeRequest(method: Method, value: unknown): Buffer {
  return (method.requestSerialize as (value: unknown) => Buffer)(value);
}

export function encodeResponse(method: Method, value: unknown): Buffer {
  return (method.responseSerialize as (value: unknown) => Buffer)(value);
}

/** What a handler threw, as its caller sees it. */
export function overTheWire(cause: unknown): AppError {
  return fromServiceError(toServiceError(cause) as unknown as ServiceError);
}

export function unreachable(why: string): AppError {
  return new AppError("unavailable", "UNAVAILABLE", why);
}

export function noAnswer(ms: number): AppError {
  return new AppError("timeout", "DEADLINE_EXCEEDED", `no answer within ${ms} ms`);
}
