import { createHash } from "node:crypto";
import { invalid } from "@sluice/core";

/**
 * An opaque page token: a position, bound to everything that decides the list (account, filters, order), so that a token
 * is refused when one of them changed. It needs no signature: a forged position shows nothing outside the filters.
 */
export function pageToken(position: readonly (string | number)[], filters: readonly unknown[]): string {
  return Buffer.from(JSON.stringify([fingerprint(filters), ...position])).toString("base64url");
}

/** The position in a token; undefined for the first page. Throws `INVALID_PAGE_TOKEN`. */
export function parsePageToken<const T extends readonly ("string" | "number")[]>(
  token: string,
  filters: readonly unknown[],
  types: T,
): { readonly [I in keyof T]: T[I] extends "string" ? string : number } | undefined {
  if (token === "") return undefined;
  const [print, ...position] = decode(token);
  if (position.length !== types.length || position.some((value, index) => !isA(types[index], value))) throw foreign();
  if (print !== fingerprint(filters)) throw foreign();
  return position as { readonly [I in keyof T]: T[I] extends "string" ? string : number };
}

function decode(token: string): unknown[] {
  if (token.length > 1000 || !/^[A-Za-z0-9_-]+$/.test(token)) throw foreign();
  try {
    const value: unknown = JSON.parse(Buffer.from(token, "base64url").toString("utf8"));
    if (Array.isArray(value)) return value;
  } catch {
    // Falls through: whatever it is, no page ended with it.
  }
  throw foreign();
}

function isA(type: "string" | "number" | undefined, value: unknown): boolean {
  return type === "number" ? Number.isSafeInteger(value) && (value as number) >= 0 : typeof value === type;
}

function fingerprint(filters: readonly unknown[]): string {
  return createHash("sha256").update(JSON.stringify(filters)).digest("base64url").slice(0, 16);
}

function foreign(): Error {
  return invalid(
    "INVALID_PAGE_TOKEN",
    "page_token",
    "take the token from the page before and leave the filters as they were",
  );
}
