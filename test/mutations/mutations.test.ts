// The mutations fit the source as it is, and the loader makes them.
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { editsOf, mutated, mutationFlags, mutations, withoutVariable } from "./index.ts";

const root = join(import.meta.dirname, "../..");
const run = promisify(execFile);

test("every name is there once", () => {
  const names = mutations.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
});

test.each(mutations)("without $name: each edit matches exactly once", ({ name }) => {
  for (const [file, edits] of editsOf([name])) {
    const text = readFileSync(join(root, file), "utf8");
    expect(mutated({ file, text, edits })).not.toBe(text);
  }
});

test("what comes of the edits can be parsed", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-mutations-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const files = mutations.flatMap(({ name }) =>
    [...editsOf([name])].map(([file, edits]) => {
      const path = join(folder, `${name} ${file.replaceAll("/", "-")}`);
      writeFileSync(path, mutated({ file, text: readFileSync(join(root, file), "utf8"), edits }));
      return path;
    }),
  );
  // Syntax only: types may be broken, nobody looks at them when the source is loaded.
  const flags = ["--noEmit", "--noCheck", "--noResolve", "--target", "esnext", "--module", "esnext"];
  await run(join(root, "node_modules/.bin/tsc"), [...flags, ...files], { cwd: folder });
});

test("a text that occurs twice, or not at all, is no match", () => {
  const edits = [{ file: "a.ts", find: "x", replace: "y" }];
  expect(() => mutated({ file: "a.ts", text: "x x", edits })).toThrow("a.ts contains 2 times, not once: x");
  expect(() => mutated({ file: "a.ts", text: "", edits })).toThrow("a.ts contains 0 times, not once: x");
});

/** Prints the epoch of an owner whose claim has revision 1, above a floor of 5. */
const script = `
  const { epochOf } = await import(${JSON.stringify(pathToFileURL(join(root, "packages/coordination/src/claims.ts")).href)});
  console.log(epochOf({ queue: "q", prefix: "", createRevision: 1 }, [5]));
`;

function node(flags: readonly string[], without: string) {
  const env = { ...process.env, [withoutVariable]: without };
  return run(process.execPath, [...flags, "--input-type=module", "--eval", script], { env, cwd: root });
}

test("a process runs without the protections that its environment names, and the next one with them", async () => {
  const flags = [...mutationFlags(root), "--import", "tsx"];
  expect((await node(flags, "epoch-floor")).stdout).toBe("1\n");
  expect((await node(flags, "")).stdout).toBe("6\n");
});

test("a name that nobody has ends the process", async () => {
  const failing = node([...mutationFlags(root), "--import", "tsx"], "epoch-flor");
  await expect(failing).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining('no protection "epoch-flor"'),
  });
});

test("behind tsx the loader would see what tsx has made of the source: the process ends", async () => {
  const failing = node(["--import", "tsx", ...mutationFlags(root)], "epoch-floor");
  await expect(failing).rejects.toMatchObject({ stderr: expect.stringContaining("must be imported before tsx") });
});
