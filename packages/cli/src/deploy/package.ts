import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { ZipFile } from "yazl";
import { UsageError } from "../errors.ts";
import { formatBytes } from "../format.ts";
import { createIgnore, type Ignore } from "./ignore.ts";

export interface Package {
  readonly zip: Buffer;
  readonly fileCount: number;
  /** Of the files, unpacked. */
  readonly bytes: number;
}

interface File {
  /** Below the folder, with `/`. */
  readonly path: string;
  readonly isExecutable: boolean;
}

/** What the server takes; told here before anything is uploaded. */
const filesMax = 10_000;
const bytesMax = 200 * 1024 * 1024;
const zipBytesMax = 50 * 1024 * 1024;

/** The folder as a zip. The same files give the same bytes: order, dates and modes do not depend on the machine. */
export async function packFolder(folder: string): Promise<Package> {
  const ignore = createIgnore(await readIgnoreFile(folder));
  const files = await collect(folder, "", ignore, []);
  if (files.length === 0) throw new UsageError(`${folder} has no files to deploy`);
  const zip = new ZipFile();
  const chunks: Buffer[] = [];
  const packed = new Promise<void>((resolve, reject) => {
    zip.outputStream.on("data", (chunk: Buffer) => chunks.push(chunk));
    zip.outputStream.once("end", resolve);
    zip.once("error", reject);
  });
  let bytes = 0;
  for (const file of files.sort((a, b) => (a.path < b.path ? -1 : 1))) {
    const content = await readFile(join(folder, file.path));
    bytes += content.length;
    if (bytes > bytesMax) throw tooLarge(folder, "more than 200 MiB");
    zip.addBuffer(content, file.path, {
      // The format keeps local time: this is the same wall time everywhere.
      mtime: new Date(1980, 0, 1),
      forceDosTimestamp: true,
      mode: file.isExecutable ? 0o100755 : 0o100644,
    });
  }
  zip.end();
  await packed;
  const content = Buffer.concat(chunks);
  if (content.length > zipBytesMax)
    throw tooLarge(folder, `${formatBytes(content.length)} as a zip, at most 50 MiB fit`);
  return { zip: content, fileCount: files.length, bytes };
}

async function readIgnoreFile(folder: string): Promise<string> {
  try {
    return await readFile(join(folder, ".sluiceignore"), "utf8");
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return "";
    throw cause;
  }
}

async function collect(folder: string, below: string, ignore: Ignore, found: File[]): Promise<File[]> {
  for (const entry of await readdir(join(folder, below), { withFileTypes: true })) {
    const path = below + entry.name;
    if (ignore(path, entry.isDirectory() ? "folder" : "file")) continue;
    if (entry.isDirectory()) await collect(folder, `${path}/`, ignore, found);
    else if (entry.isFile()) {
      const { mode } = await stat(join(folder, path));
      found.push({ path, isExecutable: (mode & 0o100) !== 0 });
      if (found.length > filesMax) throw tooLarge(folder, "more than 10,000 files");
    } else {
      // An agent refuses links, because they can lead out of the code's folder.
      throw new UsageError(`${path} is a link or a special file; replace it by a file, or name it in .sluiceignore`);
    }
  }
  return found;
}

function tooLarge(folder: string, what: string): UsageError {
  return new UsageError(`${folder} has ${what}; leave files out with .sluiceignore`);
}
