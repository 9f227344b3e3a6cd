// On a tiny repository of its own.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { areCovered } from "./dependencies.ts";
import { openOldVersion } from "./old-version.ts";
import { pickRef } from "./pick-ref.ts";

let repository: string;
let commits: number;
beforeEach(() => {
  repository = mkdtempSync(join(tmpdir(), "sluice-test-"));
  onTestFinished(() => rmSync(repository, { recursive: true, force: true }));
  commits = 0;
  git("init", "--quiet", "--initial-branch", "main");
});

function git(...args: readonly string[]): string {
  const who = ["-c", "user.name=somebody", "-c", "user.email=somebody@localhost"];
  const dates = {
    GIT_AUTHOR_DATE: `${1_700_000_000 + commits} +0000`,
    GIT_COMMITTER_DATE: `${1_700_000_000 + commits} +0000`,
  };
  const env = { ...process.env, ...dates };
  return execFileSync("git", ["-C", repository, ...who, ...args], { encoding: "utf8", env, stdio: "pipe" }).trim();
}

function write(file: string, text: string): void {
  mkdirSync(join(repository, file, ".."), { recursive: true });
  writeFileSync(join(repository, file), text);
}

/** Writes a file, commits it, and returns the commit. */
function commit(file: string, text = `${commits}`): string {
  commits += 1;
  write(file, text);
  git("add", "--all");
  git("commit", "--quiet", "--message", file);
  return git("rev-parse", "HEAD");
}

describe("the version before", () => {
  test("is the latest tag that this version contains and is not", async () => {
    commit("packages/a");
    git("tag", "v1");
    const second = commit("packages/a");
    git("tag", "v2");
    commit("packages/a");
    git("tag", "v3");
    expect(await pickRef(repository)).toEqual({ name: "v2", commit: second });
  });

  test("is the one that is asked for", async () => {
    const first = commit("packages/a");
    git("tag", "--annotate", "--message", "one", "v1");
    commit("packages/a");
    expect(await pickRef(repository, "v1")).toEqual({ name: "v1", commit: first });
    expect(await pickRef(repository, "HEAD^")).toEqual({ name: "HEAD^", commit: first });
  });

  test("is without tags the last commit with other code", async () => {
    const first = commit("packages/a");
    const second = commit("proto/b");
    commit("docs/c");
    expect((await pickRef(repository)).commit).toBe(first);
    write("packages/a", "not committed");
    expect((await pickRef(repository)).commit).toBe(second);
  });

  test("must be there: what can be done is said", async () => {
    await expect(pickRef(repository)).rejects.toMatchObject({ reason: "NO_CHECKOUT" });
    commit("packages/a");
    await expect(pickRef(repository)).rejects.toMatchObject({ reason: "NO_OLD_VERSION" });
    git("tag", "v1");
    await expect(pickRef(repository, "v7")).rejects.toThrow("git knows no commit v7; the last tags are v1");
    await expect(pickRef(tmpdir())).rejects.toMatchObject({ reason: "NO_CHECKOUT" });
  });

  test("is not in a clone without history, which says how to get it", async () => {
    commit("packages/a");
    commit("packages/a");
    const clone = mkdtempSync(join(tmpdir(), "sluice-test-"));
    onTestFinished(() => rmSync(clone, { recursive: true, force: true }));
    git("clone", "--quiet", "--depth", "1", `file://${repository}`, clone);
    await expect(pickRef(clone)).rejects.toThrow("git fetch --unshallow --tags");
    await expect(pickRef(clone, "HEAD^")).rejects.toThrow("git fetch --unshallow --tags");
  });
});

test("the old version is a checkout with its own packages and our dependencies, and leaves nothing", async () => {
  const lock = {
    packages: { "": {}, "node_modules/tsx": { version: "1.0.0" }, "node_modules/@sluice/a": { link: true } },
  };
  write("package-lock.json", JSON.stringify(lock));
  write(".gitignore", "node_modules/");
  write("packages/a/package.json", JSON.stringify({ name: "@sluice/a" }));
  const old = commit("packages/a/index.js", "old");
  commit("packages/a/index.js", "new");
  write("node_modules/tsx/index.js", "tsx");
  write("node_modules/@sluice/README", "links into this checkout");
  let root: string;
  {
    await using version = await openOldVersion(repository, { commit: old });
    ({ root } = version);
    const read = (name: string) => readFileSync(join(root, "node_modules", name), "utf8");
    expect([version.dependencies, read("@sluice/a/index.js"), read("tsx/index.js")]).toEqual(["linked", "old", "tsx"]);
    expect(realpathSync(join(root, "node_modules/@sluice/a"))).toBe(realpathSync(join(root, "packages/a")));
    expect(existsSync(join(root, "node_modules/@sluice/README"))).toBe(false);
  }
  expect(existsSync(root)).toBe(false);
  expect(git("worktree", "list").split("\n")).toHaveLength(1);
});

test("a version that cannot be prepared leaves nothing either", async () => {
  const old = commit("packages/a/index.js");
  await expect(openOldVersion(repository, { commit: old })).rejects.toThrow("package-lock.json");
  await expect(openOldVersion(repository, { commit: "0".repeat(40) })).rejects.toMatchObject({ reason: "NO_WORKTREE" });
  expect(git("worktree", "list").split("\n")).toHaveLength(1);
});

test("dependencies are shared if all that are needed are there in the same versions", () => {
  const ours = { "": {}, "node_modules/a": { version: "1", integrity: "x" }, "packages/b": { version: "0.1.0" } };
  expect(areCovered({ "node_modules/a": { version: "1", integrity: "x" }, "packages/c": { version: "0" } }, ours)).toBe(
    true,
  );
  expect(areCovered({ "node_modules/a": { version: "2", integrity: "x" } }, ours)).toBe(false);
  expect(areCovered({ "packages/b/node_modules/d": { version: "1" } }, ours)).toBe(false);
});
