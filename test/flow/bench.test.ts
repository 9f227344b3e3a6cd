// What `npm run bench:flow` takes out of the source is there.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { edits, mechanisms } from "../../bench/flow/without.ts";
import { mutated } from "../mutations/mutation.ts";

const root = join(import.meta.dirname, "../..");

test.each(mechanisms)("%s can be taken out: each edit matches exactly once", (mechanism) => {
  for (const edit of edits(mechanism)) {
    const text = readFileSync(join(root, edit.file), "utf8");
    expect(mutated({ file: edit.file, text, edits: [edit] })).not.toBe(text);
  }
});
