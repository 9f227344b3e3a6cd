// Unpacks a code package that nobody vouches for. Depends on nothing but yauzl and Node, so that it can serve wherever
// packages come in.
import { type FileHandle, mkdir, open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { crc32 } from "node:zlib";
import { type Entry, fromBufferPromise } from "yauzl";

export type BadPackageReason =
  | "not_a_zip"
  | "corrupt"
  | "encrypted"
  | "unsafe_name"
  | "duplicate_name"
  | "link_or_device"
  | "too_many_files"
  | "too_large"
  | "ratio"
  | "digest";

/** A package that is refused. The same bytes are refused always, so nobody should try again. */
export class BadPackage extends Error {
  override readonly name = "BadPackage";
  readonly reason: BadPackageReason;

  constructor(reason: BadPackageReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

export interface PackageLimits {
  readonly filesMax: number;
  /** Unpacked. */
  readonly bytesMax: number;
  /** Unpacked bytes per packed byte, of the whole package. */
  readonly ratioMax: number;
}

export interface PackageSize {
  readonly files: number;
  readonly bytes: number;
}

export const defaultPackageLimits: PackageLimits = { filesMax: 10_000, bytesMax: 200 * 1024 * 1024, ratioMax: 100 };

// Below this a high ratio is no attack: a page of blanks packs well.
const ratioFromBytes = 1024 * 1024;
const segmentBytesMax = 255;
const pathBytesMax = 2048;
const fileTypeMask = 0o170000;
const regularFile = 0o100000;
const directory = 0o040000;

/** Validates a package to its last byte without writing anything. */
export function inspectZip(bytes: Uint8Array, limits: PackageLimits = defaultPackageLimits): Promise<PackageSize> {
  return readZip(bytes, limits, undefined);
}

/**
 * Unpacks into `target`, an empty folder. Files come out read-only, executable when the package says so. When it throws,
 * the folder holds what came before the fault, and is to be removed.
 */
export function unzip(
  bytes: Uint8Array,
  target: string,
  limits: PackageLimits = defaultPackageLimits,
): Promise<PackageSize> {
  return readZip(bytes, limits, target);
}

async function readZip(bytes: Uint8Array, limits: PackageLimits, target: string | undefined): Promise<PackageSize> {
  const names = new Names();
  const meter = new Meter(limits, bytes.byteLength);
  const zip = await openZip(bytes);
  if (zip.entryCount > limits.filesMax) throw tooMany(limits);
  try {
    for await (const entry of zip.eachEntry()) {
      const name = nameOf(entry);
      const isDirectory = name.endsWith("/");
      checkKind(entry, name, isDirectory);
      names.add(name);
      if (isDirectory) {
        if (target !== undefined) await mkdir(join(target, name), { recursive: true });
        continue;
      }
      meter.addFile();
      const stream = await zip.openReadStreamPromise(entry);
      await readEntry(entry, name, stream, meter, target);
    }
  } catch (error) {
    throw asBadPackage(error);
  } finally {
    zip.close();
  }
  return { files: meter.files, bytes: meter.bytes };
}

async function openZip(bytes: Uint8Array) {
  try {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    // Names stay bytes: the library would repair some of those that we refuse.
    return await fromBufferPromise(buffer, { lazyEntries: true, decodeStrings: false, validateEntrySizes: true });
  } catch (cause) {
    throw new BadPackage("not_a_zip", "the package is not a zip archive", { cause });
  }
}

async function readEntry(
  entry: Entry,
  name: string,
  stream: AsyncIterable<Uint8Array>,
  meter: Meter,
  target: string | undefined,
): Promise<void> {
  const file = target === undefined ? undefined : await create(join(target, name), isExecutable(entry));
  let checksum = 0;
  try {
    for await (const chunk of stream) {
      // Counted while inflating: what the headers say is only what the sender says.
      meter.addBytes(chunk.byteLength);
      checksum = crc32(chunk, checksum);
      await file?.writeFile(chunk);
    }
  } finally {
    await file?.close();
  }
  if (checksum !== entry.crc32) throw new BadPackage("corrupt", `the checksum of ${quote(name)} is wrong`);
}

async function create(path: string, executable: boolean): Promise<FileHandle> {
  await mkdir(dirname(path), { recursive: true });
  // `wx`: two names that only the file system takes for the same must not overwrite each other.
  return open(path, "wx", executable ? 0o555 : 0o444);
}

/** Counts what has really come out, and refuses to go on beyond a limit. */
class Meter {
  files = 0;
  bytes = 0;
  readonly #limits: PackageLimits;
  readonly #packedBytes: number;

  constructor(limits: PackageLimits, packedBytes: number) {
    this.#limits = limits;
    this.#packedBytes = packedBytes;
  }

  addFile(): void {
    this.files++;
    if (this.files > this.#limits.filesMax) throw tooMany(this.#limits);
  }

  addBytes(count: number): void {
    this.bytes += count;
    const { bytesMax, ratioMax } = this.#limits;
    if (this.bytes > bytesMax) throw new BadPackage("too_large", `the package unpacks to more than ${bytesMax} bytes`);
    if (this.bytes > ratioFromBytes && this.bytes > this.#packedBytes * ratioMax) {
      throw new BadPackage("ratio", `the package unpacks to more than ${ratioMax} times its size`);
    }
  }
}

/** Remembers the names of a package, and refuses those that some file system would take for the same. */
class Names {
  /** Folded path → its exact spelling; of every entry and of every folder above one. */
  readonly #spellings = new Map<string, string>();
  readonly #files = new Set<string>();
  readonly #entries = new Set<string>();

  add(name: string): void {
    const path = name.endsWith("/") ? name.slice(0, -1) : name;
    const segments = path.split("/");
    segments.forEach((_, index) => {
      const isLast = index === segments.length - 1;
      this.#addPath(segments.slice(0, index + 1).join("/"), isLast && path === name, name);
    });
    const key = fold(path);
    if (this.#entries.has(key)) throw duplicate(name);
    this.#entries.add(key);
  }

  #addPath(path: string, isFile: boolean, name: string): void {
    const key = fold(path);
    const spelling = this.#spellings.get(key);
    const isTaken = spelling !== undefined && (isFile || spelling !== path || this.#files.has(key));
    if (isTaken) throw duplicate(name);
    this.#spellings.set(key, path);
    if (isFile) this.#files.add(key);
  }
}

const fold = (path: string) => path.normalize("NFKC").toLowerCase().normalize("NFKC");
const duplicate = (name: string) => new BadPackage("duplicate_name", `${quote(name)} exists twice in the package`);

function nameOf(entry: Entry): string {
  const name = decode(entry.fileName as unknown as Uint8Array);
  const path = name.endsWith("/") ? name.slice(0, -1) : name;
  const isUnsafe =
    /[\p{Cc}\\]/u.test(name) ||
    /^[A-Za-z]:/.test(name) ||
    Buffer.byteLength(name) > pathBytesMax ||
    // An empty segment is also what an absolute path begins with.
    path
      .split("/")
      .some((part) => part === "" || part === "." || part === ".." || Buffer.byteLength(part) > segmentBytesMax);
  if (isUnsafe) throw new BadPackage("unsafe_name", `the package has a file with the unsafe name ${quote(name)}`);
  return name;
}

function decode(bytes: Uint8Array): string {
  try {
    // Packers differ in whether they set the flag for UTF-8; nobody sane writes another encoding.
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new BadPackage("unsafe_name", "the package has a file whose name is not UTF-8", { cause });
  }
}

function checkKind(entry: Entry, name: string, isDirectory: boolean): void {
  if ((entry.generalPurposeBitFlag & 1) !== 0) throw new BadPackage("encrypted", `${quote(name)} is encrypted`);
  const type = modeOf(entry) & fileTypeMask;
  if (type !== 0 && type !== (isDirectory ? directory : regularFile)) {
    throw new BadPackage("link_or_device", `${quote(name)} is neither a file nor a folder`);
  }
  if (isDirectory && entry.uncompressedSize > 0)
    throw new BadPackage("corrupt", `the folder ${quote(name)} has content`);
}

const modeOf = (entry: Entry) => entry.externalFileAttributes >>> 16;
const isExecutable = (entry: Entry) => (modeOf(entry) & 0o111) !== 0;
const quote = (name: string) => JSON.stringify(name.slice(0, 200));
const tooMany = ({ filesMax }: PackageLimits) =>
  new BadPackage("too_many_files", `the package has more than ${filesMax} files`);

/** Faults of the archive become `BadPackage`; faults of our disk stay what they are. */
function asBadPackage(error: unknown): unknown {
  if (error instanceof BadPackage) return error;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const isOurs = code !== "" && !code.startsWith("Z_") && !code.startsWith("ERR_");
  if (isOurs && code !== "EEXIST") return error;
  return new BadPackage(
    "corrupt",
    `the package is damaged: ${error instanceof Error ? error.message : String(error)}`,
    {
      cause: error,
    },
  );
}
