// Checks that the committed generated code is what `proto/` says, and that `proto/` is linted and formatted.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const buf = (...args: string[]) =>
  execFileSync(join(root, "node_modules/.bin/buf"), args, { cwd: join(root, "proto"), encoding: "utf8" });
const filesOf = (folder: string) =>
  Object.fromEntries(
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      .sort()
      .map((file) => [file, readFileSync(join(folder, file), "utf8")]),
  );

test("the protocol is linted and formatted", () => {
  expect(buf("lint")).toBe("");
  expect(buf("format", "--diff")).toBe("");
});

test("the committed code is what the protocol generates", () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-proto-"));
  try {
    const template = readFileSync(join(root, "proto/buf.gen.yaml"), "utf8").replace("../packages/protocol/gen", folder);
    buf("generate", "--template", JSON.stringify(parseTemplate(template)));
    const committed = filesOf(join(root, "packages/protocol/gen"));
    expect(Object.keys(committed).length).toBeGreaterThan(5);
    expect(filesOf(folder)).toEqual(committed);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

/** The template with another output folder, as buf takes it on its command line. */
function parseTemplate(yaml: string): unknown {
  const value = (key: string) => new RegExp(`${key}: (.*)`).exec(yaml)?.[1] ?? "";
  const opt = value("opt")
    .replace(/^\[|\]$/g, "")
    .split(", ");
  return { version: "v2", plugins: [{ local: value("- local"), out: value("out"), opt }] };
}
