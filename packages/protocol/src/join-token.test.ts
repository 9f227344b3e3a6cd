import { expect, test } from "vitest";
import { checkJoinToken, checkJoinTokenOf, joinTokenHeaders } from "./join-token.ts";

const { signal } = new AbortController();
const refused = expect.objectContaining({ code: "unauthenticated", reason: "INVALID_JOIN_TOKEN" });

test("any of the accepted tokens is good, and nothing else", () => {
  for (const token of ["new", "old"]) checkJoinToken(token, ["new", "old"]);
  for (const token of [undefined, "", "older", "ol", "new,old"]) {
    expect(() => checkJoinToken(token, ["new", "old"])).toThrow(refused);
  }
});

test("without accepted tokens, and with an empty one, nobody gets in", () => {
  for (const token of [undefined, "", "any"]) {
    expect(() => checkJoinToken(token, [])).toThrow(refused);
  }
  expect(() => checkJoinToken("", [""])).toThrow(refused);
});

test("a refusal does not repeat the token", () => {
  const refuse = () => checkJoinToken("a-secret", ["another"]);
  expect(refuse).toThrow(refused);
  expect(refuse).not.toThrow(/a-secret|another/);
});

test("a caller gives its first token with its calls", () => {
  const headers = joinTokenHeaders(["new", "old"]);
  checkJoinTokenOf({ signal, headers }, ["new"]);
  expect(() => checkJoinTokenOf({ signal, headers }, ["old"])).toThrow(refused);
  expect(() => checkJoinTokenOf({ signal }, ["new"])).toThrow(refused);
  expect(joinTokenHeaders([])).toEqual({});
});
