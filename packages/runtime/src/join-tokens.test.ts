import { expect, test } from "vitest";
import { helpText, parseConfig } from "./config/config.ts";
import { joinTokensSetting } from "./join-tokens.ts";

const spec = { service: "agent", summary: "Runs.", settings: { joinTokens: joinTokensSetting } };
const [old, next] = ["an-old-join-token", "the-next-join-token"];
const parse = (SLUICE_JOIN_TOKEN?: string) => parseConfig(spec, { argv: [], env: { SLUICE_JOIN_TOKEN } });

test("several tokens are separated by commas", () => {
  expect(parse(old)).toEqual({ joinTokens: [old] });
  expect(parse(`${next}, ${old}`)).toEqual({ joinTokens: [next, old] });
});

test.each(["short", `${old},`, `${old},short`, "a join token with spaces", "ä-token-of-many-characters"])(
  "%j is refused, and not repeated",
  (text) => {
    expect(() => parse(text)).toThrow("SLUICE_JOIN_TOKEN must be texts of 16 to 256 printable characters");
    expect(() => parse(text)).not.toThrow(text);
  },
);

test("there is no default, and no flag that everybody on the host could read", () => {
  expect(() => parse()).toThrow("SLUICE_JOIN_TOKEN is missing");
  expect(helpText(spec)).toContain("SLUICE_JOIN_TOKEN");
  expect(helpText(spec)).not.toContain("--join-token");
});
