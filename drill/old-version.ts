import { join } from "node:path";
import { AppError } from "@sluice/core";
import { openFolder } from "@sluice/testbed";
import { provideDependencies } from "./dependencies.ts";
import { git } from "./git.ts";
import type { Ref } from "./pick-ref.ts";

/** A version that services can be run from, until it is disposed of. */
export interface OldVersion extends AsyncDisposable {
  /** Of its checkout. */
  readonly root: string;
  readonly dependencies: "linked" | "installed";
}

/** Checks the commit out into a temporary folder. It goes with this process, however that ends, if not before. */
export async function openOldVersion(
  checkout: string,
  { commit }: Pick<Ref, "commit">,
  signal?: AbortSignal,
): Promise<OldVersion> {
  // Whatever an earlier one that was killed has left in git's list.
  await git(checkout, "worktree", "prune");
  // Its agents run as others, who must be able to read it.
  const folder = openFolder({ name: "old", mode: 0o755 });
  const root = join(folder.path, "sluice");
  const remove = async () => {
    await git(checkout, "worktree", "remove", "--force", root);
    folder.delete();
    await git(checkout, "worktree", "prune");
  };
  try {
    if ((await git(checkout, "worktree", "add", "--detach", root, commit)) === undefined) {
      throw new AppError("precondition", "NO_WORKTREE", `git cannot check out ${commit} into ${root}`);
    }
    const dependencies = await provideDependencies({ ours: checkout, theirs: root, signal });
    return { root, dependencies, [Symbol.asyncDispose]: remove };
  } catch (cause) {
    await remove();
    throw cause;
  }
}
