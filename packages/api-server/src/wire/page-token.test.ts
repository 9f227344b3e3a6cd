import fc from "fast-check";
import { expect, test } from "vitest";
import { pageToken, parsePageToken } from "./page-token.ts";

const filters = ["tasks", "main", "echo"];

test("a token gives back its position under the same filters only", () => {
  const token = pageToken([1_700_000_000_000, 42], filters);
  expect(parsePageToken(token, filters, ["number", "number"])).toEqual([1_700_000_000_000, 42]);
  expect(parsePageToken("", filters, ["number", "number"])).toBeUndefined();
  for (const others of [["tasks", "other", "echo"], ["tasks", "main", ""], ["functions", "main", "echo"], []]) {
    expect(() => parsePageToken(token, others, ["number", "number"])).toThrow(foreign);
  }
  expect(() => parsePageToken(token, filters, ["string"])).toThrow(foreign);
});

test("whatever else is sent as a token is refused, never an internal error", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ minLength: 1 }), fc.json().map(encoded)), (text) => {
      expect(() => parsePageToken(text, filters, ["number", "number"])).toThrow(foreign);
    }),
    { numRuns: 500, seed: 1 },
  );
  const [print] = JSON.parse(Buffer.from(pageToken([], filters), "base64url").toString()) as [string];
  for (const position of [["1", 2], [1.5, 2], [-1, 2], [1], [1, 2, 3], [null, 2]]) {
    const forged = encoded(JSON.stringify([print, ...position]));
    expect(() => parsePageToken(forged, filters, ["number", "number"])).toThrow(foreign);
  }
});

const foreign = expect.objectContaining({ reason: "INVALID_PAGE_TOKEN", field: "page_token" });

function encoded(text: string): string {
  return Buffer.from(text).toString("base64url");
}
