import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { FunctionSettings } from "@sluice/client";
import { UsageError } from "../errors.ts";

/** What `sluice.json` says of a function. */
export interface Manifest extends FunctionSettings {
  readonly name?: string;
}

type Check = (value: unknown) => boolean;
const isText: Check = (value) => typeof value === "string";
const isCount: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isFlag: Check = (value) => typeof value === "boolean";
const isHook: Check = (value) =>
  isObject(value) &&
  isText(value["handler"]) &&
  Object.entries(value).every(([key, part]) => key === "handler" || (key === "timeoutMs" && isCount(part)));

const fields: Readonly<Record<keyof Manifest, readonly [Check, string]>> = {
  name: [isText, "a text"],
  runtime: [isText, "a text"],
  handler: [isText, "a text"],
  description: [isText, "a text"],
  timeoutMs: [isCount, "a whole number"],
  memoryMb: [isCount, "a whole number"],
  instanceConcurrency: [isCount, "a whole number"],
  instancesMax: [isCount, "a whole number"],
  environment: [(value) => isObject(value) && Object.values(value).every(isText), "an object of texts"],
  initializer: [isHook, "an object with handler and timeoutMs"],
  preStop: [isHook, "an object with handler and timeoutMs"],
  idleTimeoutMs: [isCount, "a whole number"],
  maxAsyncRetryAttempts: [isCount, "a whole number"],
  maxAsyncEventAgeInSeconds: [isCount, "a whole number"],
  concurrencyMax: [isCount, "a whole number"],
  concurrencyReserved: [isCount, "a whole number"],
  rateMax: [(value) => typeof value === "number" && value >= 0, "a number"],
  rateBurst: [isCount, "a whole number"],
  weight: [isCount, "a whole number"],
  preemptible: [isFlag, "true or false"],
  dedicatedQueue: [isFlag, "true or false"],
  latencySensitive: [isFlag, "true or false"],
};

/** Reads `sluice.json` of the folder; without one, everything comes from flags. Throws `UsageError` with every problem. */
export async function readManifest(folder: string): Promise<Manifest> {
  if (!(await stat(folder)).isDirectory()) throw new UsageError(`${folder} is not a folder`);
  const path = join(folder, "sluice.json");
  let content: string;
  try {
    content = await readFile(path, "utf8");
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return {};
    throw cause;
  }
  return parseManifest(content, path);
}

function parseManifest(content: string, path: string): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch (cause) {
    throw new UsageError(`${path} is not JSON: ${(cause as Error).message}`);
  }
  if (!isObject(value)) throw new UsageError(`${path} must hold an object`);
  const problems = Object.entries(value).flatMap(([key, part]) => {
    if (!Object.hasOwn(fields, key)) return [`there is no setting ${JSON.stringify(key)}`];
    const [check, shape] = fields[key as keyof Manifest];
    return check(part) ? [] : [`${key} must be ${shape}`];
  });
  if (problems.length > 0) throw new UsageError(`${path}: ${problems.join("; ")}`);
  return value as Manifest;
}
