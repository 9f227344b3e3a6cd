// Every protection that can be taken out of the source: those that the model of the failover protocol lists, and more.
import { agents } from "./agents.ts";
import { bulk } from "./bulk.ts";
import { explained } from "./explained.ts";
import { limits } from "./limits.ts";
import type { Edit, Explained, Mutation, Switch } from "./mutation.ts";
import { ownership } from "./ownership.ts";
import { promises } from "./promises.ts";
import { rows } from "./rows.ts";

export { explained };

export const mutations: readonly Mutation[] = [...ownership, ...agents, ...rows, ...bulk, ...limits, ...promises];

/** Those, and what is explained and can be taken out as well. */
export const switches: readonly Switch[] = [...mutations, ...explained.flatMap(switchOf)];

function switchOf({ name, takenOut }: Explained): Switch[] {
  return takenOut ? [{ name, edits: takenOut.edits, without: takenOut.without ?? [], proof: takenOut }] : [];
}

/** The edits of these protections and of those that go with them, by file. Throws for a name that nobody has. */
export function editsOf(names: readonly string[]): ReadonlyMap<string, readonly Edit[]> {
  const edits = new Map<string, Edit[]>();
  for (const edit of [...withOthers(names)].flatMap((each) => each.edits)) {
    const ofFile = edits.get(edit.file);
    if (ofFile) ofFile.push(edit);
    else edits.set(edit.file, [edit]);
  }
  return edits;
}

function withOthers(names: readonly string[], found = new Set<Switch>()): ReadonlySet<Switch> {
  for (const name of names) {
    const known = switches.find((each) => each.name === name);
    if (!known) throw new Error(`there is no protection "${name}": ${switches.map((each) => each.name).join(", ")}`);
    found.add(known);
    withOthers(known.without ?? [], found);
  }
  return found;
}
