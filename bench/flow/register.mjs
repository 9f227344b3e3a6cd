// Preloaded with `--import`, before tsx: takes the mechanisms named in SLUICE_BENCH_WITHOUT out of the source that a service
// loads, so that production code needs no switches. Without names it does nothing.
import { readFileSync } from "node:fs";
import { register } from "node:module";
import { tsImport } from "tsx/esm/api";

const names = (process.env.SLUICE_BENCH_WITHOUT ?? "").split(",").filter(Boolean);
if (names.length > 0) {
  const { edits } = await tsImport("./without.ts", import.meta.url);
  const { mutated } = await tsImport("../../test/mutations/mutation.ts", import.meta.url);
  const byFile = new Map();
  for (const edit of names.flatMap((name) => edits(name)))
    byFile.set(edit.file, [...(byFile.get(edit.file) ?? []), edit]);
  try {
    const sources = [...byFile].map(([file, ofFile]) => {
      const url = new URL(`../../${file}`, import.meta.url);
      const original = readFileSync(url, "utf8");
      return { url: url.href, original, source: mutated({ file, text: original, edits: ofFile }) };
    });
    register("../../test/mutations/hooks.mjs", import.meta.url, { data: sources });
  } catch (cause) {
    console.error(`cannot run without ${names.join(", ")}: ${cause.message}`);
    process.exit(1);
  }
}
