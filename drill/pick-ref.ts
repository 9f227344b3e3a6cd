// Which version the drill begins with: the one before this.
import { AppError } from "@sluice/core";
import { git } from "./git.ts";

export interface Ref {
  /** As people know it: a tag, or the first digits of a commit. */
  readonly name: string;
  readonly commit: string;
}

/** What makes two versions different ones. */
const code = ["packages", "proto"];

/**
 * The commit that is called `wanted`. By default the latest tag that HEAD contains and is not; without tags the last commit
 * that changed the code, before the one that made it what it is now. Throws `NO_CHECKOUT`, `UNKNOWN_REF`, `NO_OLD_VERSION`.
 */
export async function pickRef(checkout: string, wanted?: string): Promise<Ref> {
  const head = await git(checkout, "rev-parse", "--verify", "HEAD^{commit}");
  if (head === undefined) {
    throw new AppError(
      "precondition",
      "NO_CHECKOUT",
      `${checkout} is no git checkout: the old version comes from its history; clone the repository`,
    );
  }
  if (wanted !== undefined) return { name: wanted, commit: await commitOf(checkout, wanted) };
  return (await lastTag(checkout, head)) ?? (await lastChange(checkout));
}

async function commitOf(checkout: string, wanted: string): Promise<string> {
  const commit = await git(checkout, "rev-parse", "--verify", "--quiet", "--end-of-options", `${wanted}^{commit}`);
  if (commit !== undefined) return commit;
  const tags = (await git(checkout, "tag", "--sort=-creatordate"))?.split("\n").filter(Boolean).slice(0, 5) ?? [];
  const known = tags.length > 0 ? `; the last tags are ${tags.join(", ")}` : "";
  const more = (await isShallow(checkout)) ? `; ${deepen}` : "";
  throw new AppError("not_found", "UNKNOWN_REF", `git knows no commit ${wanted}${known}${more}`);
}

async function lastTag(checkout: string, head: string): Promise<Ref | undefined> {
  const tags = await git(checkout, "tag", "--merged", "HEAD", "--sort=-creatordate");
  for (const name of tags?.split("\n").filter(Boolean) ?? []) {
    const commit = await commitOf(checkout, `refs/tags/${name}`);
    if (commit !== head) return { name, commit };
  }
  return undefined;
}

async function lastChange(checkout: string): Promise<Ref> {
  const isChanged = await git(checkout, "status", "--porcelain", "--", ...code);
  const skip = isChanged ? 0 : 1;
  const commit = await git(checkout, "log", "--format=%H", "-1", `--skip=${skip}`, "--", ...code);
  if (commit) return { name: commit.slice(0, 9), commit };
  throw new AppError(
    "precondition",
    "NO_OLD_VERSION",
    (await isShallow(checkout))
      ? `there is no version before this one here; ${deepen}`
      : "there is no version before this one: neither a tag nor an earlier commit that changed packages/ or proto/",
  );
}

const deepen = "this clone has no history: `git fetch --unshallow --tags` brings it";

async function isShallow(checkout: string): Promise<boolean> {
  return (await git(checkout, "rev-parse", "--is-shallow-repository")) === "true";
}
