import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { packFolder } from "../deploy/package.ts";
import { exitCodes } from "../errors.ts";
import { jsonLines, startWorld } from "../testing.ts";

async function aFolder(files: Readonly<Record<string, string>>) {
  const path = await mkdtemp(join(tmpdir(), "sluice-"));
  for (const [name, content] of Object.entries(files)) {
    await mkdir(join(path, name, ".."), { recursive: true });
    await writeFile(join(path, name), content);
  }
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}
const manifest = {
  name: "digest",
  runtime: "python3",
  handler: "index.handler",
  memoryMb: 256,
  environment: { A: "1", B: "1" },
};

test("deploy takes the settings from sluice.json, flags override them, and a repeat changes nothing", async () => {
  await using world = await startWorld();
  await using folder = await aFolder({ "sluice.json": JSON.stringify(manifest), "index.py": "x = 1" });
  const flags = ["--memory", "64", "--timeout", "2m", "--env", "B=2", "--env", "C=a=b"];

  const first = await world.sluice(["deploy", folder.path, "--json", ...flags]);
  const second = await world.sluice(["deploy", ".", ...flags], { directory: folder.path });

  const [deployed] = jsonLines(first.stdout);
  expect(deployed).toMatchObject({ outcome: "created", fileCount: 1, name: "digest", revision: 1 });
  expect(deployed?.["settings"]).toEqual({
    runtime: "python3",
    handler: "index.handler",
    memoryMb: 64,
    timeoutMs: 120_000,
    environment: { A: "1", B: "2", C: "a=b" },
  });
  expect(second.stdout).toMatch(/^digest unchanged: 1 files, 5 B, zip \d+ B; revision 1, code [0-9a-f]{12}\n$/);
});

test("what sluice.json does not say stays as it is, and a limit that stays is told with how to take it away", async () => {
  await using world = await startWorld();
  const limits = { concurrencyMax: 2, rateMax: 5, weight: 3 };
  const code = { "index.py": "x = 1" };
  await using limited = await aFolder({ "sluice.json": JSON.stringify({ ...manifest, ...limits }), ...code });
  await using unlimited = await aFolder({ "sluice.json": JSON.stringify({ ...manifest, rateMax: 5 }), ...code });

  expect((await world.sluice(["deploy", limited.path])).stderr).toBe("");
  const { stderr } = await world.sluice(["deploy", unlimited.path]);

  expect(world.server.functions.get("digest")?.settings).toMatchObject(limits);
  expect(stderr).toBe(
    "not in sluice.json, and stays as it is on the server: concurrencyMax 2, weight 3; " +
      "to take it away: sluice functions set digest --concurrency none --weight 1\n",
  );
});

test("a folder that does not exist, or is a file, is named as such, whatever flags are given", async () => {
  await using folder = await aFolder({ "index.py": "" });
  await using world = await startWorld();
  const deploy = (path: string) => world.sluice(["deploy", path, "--runtime", "python3", "--handler", "index.handler"]);
  const missing = await deploy(join(folder.path, "missing"));
  expect(missing).toMatchObject({ exitCode: exitCodes.usage });
  expect(missing.stderr).toContain(`${join(folder.path, "missing")} does not exist`);
  expect((await deploy(join(folder.path, "index.py"))).stderr).toContain("index.py is not a folder");
  expect((await world.sluice(["deploy", folder.path])).stderr).toContain("runtime is missing; set it in sluice.json");
});

test("the same files give the same zip, whatever their order and dates", async () => {
  const files = { "b.js": "b", "a/z.js": "z", "a.js": "a", "a-b.js": "c" };
  await using one = await aFolder(files);
  await using other = await aFolder(Object.fromEntries(Object.entries(files).reverse()));
  await using changed = await aFolder({ ...files, "b.js": "c" });
  await using executable = await aFolder(files);
  await chmod(join(executable.path, "b.js"), 0o755);

  const zips = await Promise.all([one, other, changed, executable].map((folder) => packFolder(folder.path)));

  expect(zips[0]?.zip.equals(zips[1]?.zip as Buffer)).toBe(true);
  expect(zips[0]?.zip.equals(zips[2]?.zip as Buffer)).toBe(false);
  expect(zips[0]?.zip.equals(zips[3]?.zip as Buffer)).toBe(false);
  expect(zips[0]).toMatchObject({ fileCount: 4, bytes: 4 });
});

test("the code leaves out what is ignored, and keeps its dependencies", async () => {
  await using folder = await aFolder({
    "index.js": "",
    "node_modules/dep/index.js": "",
    "node_modules/.bin/tool": "",
    ".git/HEAD": "",
    "lib/__pycache__/x.pyc": "",
    "sluice.json": "{}",
    ".sluiceignore": "# a comment\n*.log\n/data/\n!keep.log\ntest/**/*.snap\n",
    "a.log": "",
    "keep.log": "",
    "data/big": "",
    "lib/data/small": "",
    "test/a/b/c.snap": "",
    "test/d.snap": "",
    "test/e.js": "",
  });

  const { zip, fileCount } = await packFolder(folder.path);

  const names = ["index.js", "keep.log", "lib/data/small", "node_modules/dep/index.js", "test/e.js"];
  expect(fileCount).toBe(names.length);
  for (const name of names) expect(zip.includes(name)).toBe(true);
});

test("what cannot be deployed is told before anything is sent", async () => {
  await using world = await startWorld();
  await using link = await aFolder({ "sluice.json": JSON.stringify(manifest), "index.py": "" });
  await symlink("/etc/passwd", join(link.path, "secret"));
  await using empty = await aFolder({ "sluice.json": JSON.stringify(manifest) });
  await using bare = await aFolder({ "index.py": "" });
  await using typo = await aFolder({ "sluice.json": '{"runtim":"x","memoryMb":"64"}', "index.py": "" });
  await using broken = await aFolder({ "sluice.json": "{", "index.py": "" });
  const expected = [
    [link, "secret is a link"],
    [empty, "has no files"],
    [bare, "runtime is missing"],
    [typo, 'there is no setting "runtim"; memoryMb must be a whole number'],
    [broken, "is not JSON"],
  ] as const;

  for (const [folder, message] of expected) {
    const { exitCode, stdout, stderr } = await world.sluice(["deploy", folder.path]);
    expect([exitCode, stdout]).toEqual([exitCodes.usage, ""]);
    expect(stderr).toContain(message);
  }
  expect(world.server.functions.size).toBe(0);
});

test("functions are listed, shown and deleted", async () => {
  await using world = await startWorld();
  await using folder = await aFolder({ "sluice.json": JSON.stringify(manifest), "index.py": "" });
  await world.sluice(["deploy", folder.path]);

  const list = await world.sluice(["functions", "list"]);
  const shown = await world.sluice(["functions", "get", "digest"]);
  const json = await world.sluice(["functions", "get", "digest", "--json"]);
  const deleted = await world.sluice(["functions", "delete", "digest"]);

  expect(list.stdout).toMatch(/^digest +python3 +index.handler +1 /m);
  expect(shown.stdout).toMatch(/^environment +\{"A":"1","B":"1"\}$/m);
  expect(jsonLines(json.stdout)).toMatchObject([{ name: "digest", settings: { memoryMb: 256 } }]);
  expect(deleted.stdout).toBe("digest deleted\n");
  expect((await world.sluice(["functions", "list"])).stderr).toContain("no functions");
});
