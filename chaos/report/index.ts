// The report of some runs: for machines (JSON), for the terminal (text), for people (a page with pictures).
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RunResult } from "../contract.ts";
import { pageOf } from "./page.ts";
import { tableOf } from "./table.ts";
import { describeResult } from "./text.ts";

export { tableOf } from "./table.ts";
export { describeResult } from "./text.ts";

/** Paths of files. */
export interface Report {
  readonly json: string;
  readonly text: string;
  readonly html: string;
}

/** Writes `chaos.json`, `chaos.txt` and `chaos.html` into the folder, which may not exist yet; replaces an earlier report. */
export async function writeReport(results: readonly RunResult[], folder: string): Promise<Report> {
  mkdirSync(folder, { recursive: true });
  const writtenAt = new Date();
  const write = (name: string, content: string) => {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  };
  return {
    json: write("chaos.json", `${JSON.stringify({ writtenAt, results }, null, 2)}\n`),
    text: write("chaos.txt", `${[tableOf(results), ...results.map(describeResult)].join("\n\n")}\n`),
    html: write(
      "chaos.html",
      pageOf(results, { writtenAt: `${writtenAt.toISOString().slice(0, 16).replace("T", " ")} UTC` }),
    ),
  };
}
