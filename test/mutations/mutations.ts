// Every protection that can be taken out of the source: those that the model of the failover protocol lists, and more.
import { agents } from "./agents.ts";
import { bulk } from "./bulk.ts";
import { explained } from "./explained.ts";
import { limits } from "./limits.ts";
import type { Edit, Mutation } from "./mutation.ts";
import { ownership } from "./ownership.ts";
import { promises } from "./promises.ts";
import { rows } from "./rows.ts";

export { explained };

export const mutations: readonly Mutation[] = [...ownership, ...agents, ...rows, ...bulk, ...limits, ...promises];

/** The edits of these mutations and of those that they include, by file. Throws for a name that nobody has. */
export function editsOf(names: readonly string[]): ReadonlyMap<string, readonly Edit[]> {
  const edits = new Map<string, Edit[]>();
  for (const edit of [...withOthers(names)].flatMap((mutation) => mutation.edits)) {
    const ofFile = edits.get(edit.file);
    if (ofFile) ofFile.push(edit);
    else edits.set(edit.file, [edit]);
  }
  return edits;
}

function withOthers(names: readonly string[], found = new Set<Mutation>()): ReadonlySet<Mutation> {
  for (const name of names) {
    const mutation = mutations.find((each) => each.name === name);
    if (!mutation)
      throw new Error(`there is no protection "${name}": ${mutations.map((each) => each.name).join(", ")}`);
    found.add(mutation);
    withOthers(mutation.without ?? [], found);
  }
  return found;
}
