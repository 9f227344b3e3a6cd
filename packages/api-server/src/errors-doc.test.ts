// `docs/errors.md` is tested against the code: it has every reason that the code gives, with its code, and no other.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { AppError, type ErrorCode } from "@sluice/core";
import { toServiceError } from "@sluice/protocol";
import { expect, test } from "vitest";
import { codeReasons } from "./functions/code.ts";

const root = join(import.meta.dirname, "../../..");
const packages = ["core", "protocol", "runtime", "store", "queue", "coordination", "api-server"];

// How the code gives a reason: by itself, by the shorthand, or to a check that throws it.
const forms = [
  { pattern: /new AppError\(\s*"(?<code>\w+)",\s*"(?<reason>[A-Z0-9_]+)"/g },
  { pattern: /\binvalid\(\s*"(?<reason>[A-Z0-9_]+)"/g },
  { pattern: /\breason: "(?<reason>[A-Z0-9_]+)"/g },
];

test("every reason is in docs/errors.md with its code, and nothing else is", () => {
  const documented = [...read("docs/errors.md").matchAll(/^\| `([A-Z0-9_]+)` \| `([A-Z_]+)` \| \S.*\|$/gm)];
  expect(documented.length).toBeGreaterThan(50);
  const lines = documented.map(([, reason, code]) => `${reason} ${code}`);
  expect(new Set(lines).size).toBe(lines.length);
  expect(lines.sort()).toEqual([...givenReasons()].sort());
});

function givenReasons(): Set<string> {
  const given = new Set(Object.values(codeReasons).map((reason) => `${reason} ${wireName("invalid")}`));
  for (const name of packages) {
    const found = reasonsOf(name);
    // A package that gives none would mean that the patterns miss them.
    expect(found.length, name).toBeGreaterThan(0);
    for (const line of found) given.add(line);
  }
  return given;
}

function reasonsOf(name: string): string[] {
  const folder = `packages/${name}/src`;
  const files = readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).filter(
    (file) => /\.ts$/.test(file) && !/\.test\.ts$|testing|conformance/.test(file),
  );
  return files.flatMap((file) => {
    const text = read(`${folder}/${file}`);
    return forms.flatMap(({ pattern }) =>
      [...text.matchAll(pattern)].map(({ groups }) => {
        const { reason, code = "invalid" } = groups ?? {};
        return `${reason} ${wireName(code as ErrorCode)}`;
      }),
    );
  });
}

function wireName(code: ErrorCode): string {
  return status[toServiceError(new AppError(code, "ANY", "any")).code] ?? "";
}

function read(path: string): string {
  return readFileSync(join(root, path), "utf8");
}
