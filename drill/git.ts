import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** What git prints, without its last newline; undefined: it failed. */
export async function git(checkout: string, ...args: readonly string[]): Promise<string | undefined> {
  try {
    const { stdout } = await run("git", ["-C", checkout, ...args], { maxBuffer: 64 * 2 ** 20 });
    return stdout.trimEnd();
  } catch {
    return undefined;
  }
}
