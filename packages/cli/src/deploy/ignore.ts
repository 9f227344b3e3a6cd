/** Whether a path below the folder (with `/`) is left out. */
export type Ignore = (path: string, kind: "file" | "folder") => boolean;

/** Never part of the code: histories, caches, data of a server, and what describes the function. */
const always = [
  ".git/",
  ".sluice/",
  ".DS_Store",
  "__pycache__/",
  "*.pyc",
  "node_modules/.bin/",
  "node_modules/.cache/",
];
const own = ["/sluice.json", "/.sluiceignore"];

interface Rule {
  readonly pattern: RegExp;
  readonly isFolderOnly: boolean;
  readonly isNegated: boolean;
}

/**
 * Rules as in a `.gitignore`: `#` comments, `*`, `?`, `**`, a `/` at the end for folders only, a `/` before it for paths from
 * the top, `!` to take back. The last rule that matches decides; below a folder that is left out nothing is looked at.
 */
export function createIgnore(content: string): Ignore {
  const lines = content.split(/\r?\n/).map((line) => line.trim());
  const rules = [...always, ...lines.filter((line) => line && !line.startsWith("#")), ...own].map(parseRule);
  return (path, kind) => {
    const last = rules.findLast((rule) => (kind === "folder" || !rule.isFolderOnly) && rule.pattern.test(path));
    return last !== undefined && !last.isNegated;
  };
}

function parseRule(line: string): Rule {
  const isNegated = line.startsWith("!");
  const isFolderOnly = line.endsWith("/");
  const body = line.slice(isNegated ? 1 : 0, isFolderOnly ? -1 : undefined);
  const isAnchored = body.includes("/");
  const source = body.replace(/^\//, "").split("/").map(segmentSource).join("/").replaceAll("(?:.*)/", "(?:.*/)?");
  return { pattern: new RegExp(`^${isAnchored ? "" : "(?:.*/)?"}${source}$`), isFolderOnly, isNegated };
}

function segmentSource(segment: string): string {
  if (segment === "**") return "(?:.*)";
  const runs = segment.replace(/\*+/g, "*");
  return runs
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll("*", "[^/]*")
    .replaceAll("?", "[^/]");
}
