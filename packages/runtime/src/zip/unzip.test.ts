import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { aZip, type ZipEntry } from "./testing.ts";
import { BadPackage, defaultPackageLimits, inspectZip, unzip } from "./unzip.ts";

test("files and folders come out as they went in, read-only", async () => {
  using target = temporaryDirectory();
  const zip = await aZip([
    { name: "index.js", text: "exports" },
    { name: "lib/" },
    { name: "lib/run", text: "#!", mode: 0o100755 },
    { name: "lib/dëep/ünïcode.txt", text: "x" },
  ]);

  const size = await unzip(zip, target.path);

  expect(size).toEqual({ files: 3, bytes: 10 });
  expect(await inspectZip(zip)).toEqual(size);
  expect(readFileSync(join(target.path, "index.js"), "utf8")).toBe("exports");
  expect(readFileSync(join(target.path, "lib/dëep/ünïcode.txt"), "utf8")).toBe("x");
  expect(statSync(join(target.path, "index.js")).mode & 0o777).toBe(0o444);
  expect(statSync(join(target.path, "lib/run")).mode & 0o777).toBe(0o555);
});

test.each<[string, string, ZipEntry[], (readonly [string, string])[]]>([
  ["an absolute path", "unsafe_name", [{ name: "aabs" }], [["aabs", "/abs"]]],
  ["a path that climbs", "unsafe_name", [{ name: "a/aa/b" }], [["a/aa/b", "a/../b"]]],
  ["a path that begins with a climb", "unsafe_name", [{ name: "aa/b" }], [["aa/b", "../b"]]],
  ["a drive letter", "unsafe_name", [{ name: "CC/b" }], [["CC/b", "C:/b"]]],
  ["a backslash", "unsafe_name", [{ name: "aa.b" }], [["aa.b", "a\\.b"]]],
  ["a NUL", "unsafe_name", [{ name: "aa.b" }], [["aa.b", "a\0.b"]]],
  ["an empty segment", "unsafe_name", [{ name: "axxb" }], [["axxb", "a//b"]]],
  ["a name that is not UTF-8", "unsafe_name", [{ name: "axxb" }], [["axxb", "a\xff\xfeb"]]],
  ["a symbolic link", "link_or_device", [{ name: "link", text: "/etc/passwd", mode: 0o120777 }], []],
  ["a device", "link_or_device", [{ name: "null", mode: 0o020666 }], []],
  ["a fifo", "link_or_device", [{ name: "fifo", mode: 0o010666 }], []],
  ["a name twice", "duplicate_name", [{ name: "a.js" }, { name: "b.js" }], [["b.js", "a.js"]]],
  ["a name in two cases", "duplicate_name", [{ name: "Index.js" }, { name: "index.js" }], []],
  ["a name in two Unicode forms", "duplicate_name", [{ name: "\u00e9.js" }, { name: "e\u0301.js" }], []],
  ["a folder in two cases", "duplicate_name", [{ name: "Lib/a" }, { name: "lib/b" }], []],
  ["a file that is also a folder", "duplicate_name", [{ name: "a/b" }, { name: "a" }], []],
  ["a folder below a file", "duplicate_name", [{ name: "a" }, { name: "a/b" }], []],
])("%s is refused", async (_, reason, entries, patches) => {
  using target = temporaryDirectory();
  const zip = await aZip(entries, patches);

  expect(await reasonOf(inspectZip(zip))).toBe(reason);
  expect(await reasonOf(unzip(zip, target.path))).toBe(reason);
});

test("a bomb is refused while it inflates", async () => {
  const zip = await aZip([{ name: "zeros", text: Buffer.alloc(8 << 20) }]);

  expect(await reasonOf(inspectZip(zip))).toBe("ratio");
  expect(await reasonOf(inspectZip(zip, { ...defaultPackageLimits, ratioMax: 1e9, bytesMax: 4 << 20 }))).toBe(
    "too_large",
  );
});

test("sizes in the headers are not believed", async () => {
  const zip = await aZip([{ name: "zeros", text: Buffer.alloc(2 << 20) }]);
  const central = zip.lastIndexOf("PK\x01\x02");
  zip.writeUInt32LE(10, central + 24);

  expect(await reasonOf(inspectZip(zip))).toBe("corrupt");
});

test("too many files are refused", async () => {
  const zip = await aZip(Array.from({ length: 11 }, (_, index) => ({ name: `f${index}` })));

  expect(await reasonOf(inspectZip(zip, { ...defaultPackageLimits, filesMax: 10 }))).toBe("too_many_files");
});

test("an encrypted entry and a wrong checksum are refused", async () => {
  const encrypted = await aZip([{ name: "a" }]);
  const central = encrypted.indexOf("PK\x01\x02");
  encrypted.writeUInt16LE(encrypted.readUInt16LE(central + 8) | 1, central + 8);
  const damaged = await aZip([{ name: "a", text: "content", isStored: true }], [["content", "kontent"]]);

  expect(await reasonOf(inspectZip(encrypted))).toBe("encrypted");
  expect(await reasonOf(inspectZip(damaged))).toBe("corrupt");
});

test("whatever the bytes are, the answer is a size or a BadPackage", async () => {
  const good = await aZip([{ name: "a/b.js", text: "hello hello hello" }, { name: "c" }]);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 8 }), async (changes) => {
      const bytes = Buffer.from(good);
      for (const [at, value] of changes) bytes[at] = value;
      const reason = await reasonOf(inspectZip(bytes));
      expect(reason === undefined || typeof reason === "string").toBe(true);
    }),
    { numRuns: 300 },
  );
  expect(await reasonOf(inspectZip(Buffer.from("no zip")))).toBe("not_a_zip");
});

async function reasonOf(result: Promise<unknown>): Promise<string | undefined> {
  try {
    await result;
    return undefined;
  } catch (error) {
    if (error instanceof BadPackage) return error.reason;
    throw error;
  }
}

function temporaryDirectory() {
  const path = mkdtempSync(join(tmpdir(), "sluice-unzip-"));
  return {
    path,
    names: () => readdirSync(path),
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  };
}
