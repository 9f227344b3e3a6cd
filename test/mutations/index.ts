import { join } from "node:path";
import { pathToFileURL } from "node:url";

export { type Mutation, mutated, optionsOf } from "./mutation.ts";
export { editsOf, explained, mutations, switches } from "./mutations.ts";

/** In the environment of a process with `mutationFlags`: names of protections that it runs without, separated by commas. */
export const withoutVariable = "SLUICE_TEST_WITHOUT";

/** Flags of `node`, to be given before `--import tsx`. `root`: of the repository. */
export function mutationFlags(root: string): string[] {
  return ["--import", pathToFileURL(join(root, "test/mutations/register.mjs")).href];
}
