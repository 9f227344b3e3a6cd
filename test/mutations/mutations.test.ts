// The mutations fit the source as it is, and the loader makes them.
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { checkers } from "@sluice/checkers";
import { expect, onTestFinished, test } from "vitest";
import { editsOf, explained, mutated, mutationFlags, mutations, switches, withoutVariable } from "./index.ts";

const root = join(import.meta.dirname, "../..");
const run = promisify(execFile);

test("every name is there once", () => {
  const names = [...mutations, ...explained].map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
});

/** Rules of the protocol's model, which checked what each of them is for, and what stands for them here. */
const rules: Readonly<Record<string, readonly string[]>> = {
  "floor in the store": ["store-floor"],
  "floor in the agent": ["agent-floor"],
  "attach barrier": ["barrier"],
  "barrier list from the store": ["barrier-list"],
  "inventory adoption": ["inventory"],
  "floors handed over at registration, read after its row is committed": ["registration-floors", "registration-order"],
  "self-fence and watchdog": ["self-fence", "watchdog"],
  "incarnation in every message": ["incarnation"],
  "exit after a self-fence": ["journal-reset"],
  "sessions: a re-attach discards what older streams sent": ["sessions"],
  "re-reading the row of an attempt that is missing after a re-attach": [
    "re-reading the row of an attempt that is missing after a re-attach",
  ],
  "reading rows after the barrier": ["row-before-barrier"],
  "hold-back of old rows": ["hold-back"],
  "reading the row at adoption": ["adoption-read"],
  "Stopped only on the agent's answer or death": ["stop-answer"],
  "held rows are neither stopped, parked nor moved": [
    "held-rows",
    "move-barrier",
    "overflow-barrier",
    "expiry-barrier",
  ],
  "an id enters memory at pull": ["pull-marks"],
  "lane check": ["lane-check"],
  "sweeper over every row that is neither final nor parked": ["sweeper", "sweeper-running"],
  "max(revision, floor + 1)": ["epoch-floor"],
  "dedupe on accept": ["dedupe"],
  "ack after commit": ["ack after commit"],
  "consumers named by epoch": ["consumers named by epoch"],
  "the owner's own lease deadline": ["lease-deadline"],
};

test.each(Object.entries(rules))("%s: there is a control, or it is explained", (_rule, names) => {
  expect(names).not.toEqual([]);
  const known = new Set([...mutations, ...explained].map(({ name }) => name));
  expect(names.filter((name) => !known.has(name))).toEqual([]);
});

test("each invariant is one that a control must break, and no other one in its place", () => {
  const broken = new Set(mutations.flatMap(({ proof }) => (proof.breaks.length === 1 ? proof.breaks : [])));
  expect(checkers.map(({ invariant }) => invariant).filter((invariant) => !broken.has(invariant))).toEqual([]);
});

test.each(switches)("without $name: each edit matches exactly once", ({ name }) => {
  for (const [file, edits] of editsOf([name])) {
    const text = readFileSync(join(root, file), "utf8");
    expect(mutated({ file, text, edits })).not.toBe(text);
  }
});

test("what comes of the edits can be parsed", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-mutations-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const files = switches.flatMap(({ name }) =>
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
