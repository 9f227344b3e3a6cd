// What a database makes of texts and values.
import { AppError, assert } from "@sluice/core";

const batchMax = 10_000;

/** A call takes at most 10,000 items. */
export function assertBatch(items: readonly unknown[] | number, what: string): void {
  const count = typeof items === "number" ? items : items.length;
  assert(Number.isInteger(count) && count >= 0 && count <= batchMax, `${what}: ${count} is not 0 to ${batchMax}`);
}

/** A caller's text: throws `INVALID_TEXT` for a NUL, and replaces halves of surrogate pairs. */
export function storable(text: string): string {
  if (!suspicious.test(text)) return text;
  if (text.includes("\0")) {
    throw new AppError("invalid", "INVALID_TEXT", "a text contains a NUL or is not valid Unicode");
  }
  return text.replace(loneSurrogate, "\u{fffd}");
}

/** A handler's text: whatever cannot be kept is replaced. */
export function cleaned(text: string): string {
  return suspicious.test(text) ? text.replace(unstorable, "\u{fffd}") : text;
}

const suspicious = /[\0\ud800-\udfff]/;
const loneSurrogate = /\p{Surrogate}/gu;
const unstorable = /\0|\p{Surrogate}/gu;

/** A copy that shares nothing with the value, as one that went through JSON: what is undefined is left out. */
export function copyJson<T>(value: T, text: (text: string) => string = unchanged): T {
  if (typeof value === "string") return text(value) as T & string;
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((each: unknown) => copyJson(each, text)) as T & unknown[];
  const copy: Record<string, unknown> = {};
  for (const [name, part] of Object.entries(value)) {
    if (part !== undefined) copy[name] = copyJson(part as unknown, text);
  }
  return copy as T;
}

function unchanged(text: string): string {
  return text;
}
