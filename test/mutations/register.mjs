// Preloaded with `--import`, before tsx: takes the protections named in SLUICE_TEST_WITHOUT out of the source that this
// process loads. Without names it does nothing.
import { readFileSync } from "node:fs";
import { register } from "node:module";
import { fileURLToPath } from "node:url";
import { tsImport } from "tsx/esm/api";

const names = (process.env.SLUICE_TEST_WITHOUT ?? "").split(",").filter(Boolean);
if (names.length > 0) {
  const { editsOf, mutated } = await tsImport("./index.ts", import.meta.url);
  const root = new URL("../../", import.meta.url);
  const sources = [];
  try {
    for (const [file, edits] of editsOf(names)) {
      const url = new URL(file, root);
      const original = readFileSync(fileURLToPath(url), "utf8");
      sources.push({ url: url.href, original, source: mutated({ file, text: original, edits }) });
    }
  } catch (cause) {
    console.error(`cannot run without ${names.join(", ")}: ${cause.message}`);
    process.exit(1);
  }
  register("./hooks.mjs", import.meta.url, { data: sources });
}
